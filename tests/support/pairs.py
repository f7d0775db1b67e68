"""Pairs of commits: the files of one, what the next one changes, and which of them is launched for the next.

Each line of the rule (docs/explanation/reuse.md) stands here both ways: what makes an environment narrow, what broad.
"""

from collections.abc import Mapping
from typing import NamedTuple


def each(*texts: str) -> list[str]:
    """Texts, several to a line."""
    return [one for text in texts for one in text.split(" | ")]


LINK = "link to "  # how a symbolic link is written here


class Pair(NamedTuple):
    """A commit's files, what the next one changes, and whether the old or the new one is launched for the new."""

    files: Mapping[str, str]
    change: Mapping[str, str | None]
    launched: str


OTHERS = {"data/x.csv": "1", "src/pkg/__init__.py": "", "Makefile": "all:", "index.ipynb": "{}", "README.md": "x"}
PAIRS: dict[str, Pair] = {}


def pair(name: str, files: Mapping[str, str], change: Mapping[str, str | None], launched: str) -> None:
    assert name not in PAIRS
    PAIRS[name] = Pair({**OTHERS, **files}, change, launched)


def narrow(name: str, files: Mapping[str, str]) -> None:
    """Of an environment that its files alone define any other file may change."""
    pair(f"{name}: data", files, {"data/x.csv": "2", "src/new.py": "x", "Makefile": None}, "old")
    pair(f"{name}: a change", files, {next(iter(files)): "# another\n"}, "new")


def broad(name: str, files: Mapping[str, str]) -> None:
    """Of an environment that may hold anything only prose and notebooks may change."""
    pair(f"{name}: data", files, {"data/x.csv": "2"}, "new")
    pair(f"{name}: code", files, {"src/pkg/__init__.py": "1"}, "new")
    pair(f"{name}: prose", files, {"README.md": "2", "index.ipynb": "", "docs/new.md": "", "a.png": ""}, "old")


NARROW_REQUIREMENTS = each(
    " | # -e . | numpy | numpy==2.0 # -e . | numpy>=2,<3 | numpy ~= 2.0 | a.b-c_d | numpy==2.* | numpy===1 | x!=2",
    "dask[array,distributed]>=2024 | x ; python_version < '3.12' | x; sys_platform == 'a/b' | x (>=1)",
    "numpy==2.0 --hash=sha256:aa --hash=sha256:bb",
    "numpy==2.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nscipy",
    "https://x.org/p.zip | git+https://github.com/org/pkg | git+https://github.com/org/pkg.git@v1.0#egg=pkg",
    "pkg @ https://x.org/p.whl | https://x.org/p-1.0.tar.gz#sha256=a | git+ssh://git@github.com/org/pkg.git",
    "-e git+https://github.com/org/pkg#egg=pkg | pkg @ git+https://github.com/org/pkg@main#subdirectory=sub | --pre",
    "--require-hashes | --no-binary :all: | --only-binary=x | --trusted-host x.org | --no-index | data | src",
    "\ufeffnumpy",
    "--index-url https://x.org/simple | -i https://x.org/simple | --extra-index-url=https://x.org/",
    "numpy\r\nscipy\r\n",
    "-f https://x.org/wheels/ | --find-links=https://x.org/wheels/ | -r https://x.org/r.txt | numpy\n\n\nscipy",
    "ruamel.yaml | numpy  # as in src | --oops | numpy scipy | --use-feature=x | a/b | a # it's ./x | a # it's src",
    "dask[data,src]>=2024 ; extra == 'x'",
)
BROAD_REQUIREMENTS = each(
    ". | ./ | .. | ../pkg | src/ | src/pkg | /abs/pkg | .[dev] | ./src[dev]>=1 | ${HERE}/pkg | ~/src | -r src/x/..",
    "-e . | -e. | -e ./src | -e src | -e src[dev] | --editable . | --editable=./src |   -e .  # here | -e \\\n  .",
    "# c \\\n-e . | numpy\n-e .\n | numpy\r\n-e .\r\n | \ufeff-e . | ./src --config-settings a=b | -r . | -r src",
    "./src ; python_version > '3' | file:src | file:./src | file:///srv/src | src @ file:src | src@file:src",
    "src @ ./src",
    "-e file:src | -e git+file:///srv/src | git+file:src | git://../src | --index-url file:///srv",
    "--extra-index-url=./data | file\\\n:src | -f data/ | -f./data | --find-links ./data | --find-links=data | a\0b",
    "-r ../requirements.txt | -r src/../requirements.txt | $PKG | a\\b | -e 'src' | numpy @ src | -e .git",
    "./src[data] | ./src#egg=x",
)
for text in NARROW_REQUIREMENTS:
    narrow(f"requirements.txt {text!r}", {"requirements.txt": text})
for text in BROAD_REQUIREMENTS:
    broad(f"requirements.txt {text!r}", {"requirements.txt": text})
for text in each("numpy | numpy[x]>=2 | git+https://github.com/org/pkg"):
    narrow(f"pip in environment.yml {text!r}", {"environment.yml": f"dependencies:\n- python\n- pip:\n  - {text}\n"})
for text in each("-e . | ./src | '.' | src/ | -r src | '-e.' | \"-fdata\""):
    broad(f"pip in environment.yml {text!r}", {"environment.yml": f"dependencies:\n- python\n- pip:\n  - {text}\n"})

# Something that is named and not there. It counts, so that a commit which adds it is built.
GONE = {
    "x.whl": "x.whl",
    "x.whl[dev]": "x.whl",
    "wheels/x-1.0-py3-none-any.whl": "wheels/x-1.0-py3-none-any.whl",
    "./x-1.0.tar.gz": "x-1.0.tar.gz",
    "x.tar.bz2": "x.tar.bz2",
    "-f wheels/": "wheels/x.whl",
    "-f./wheels": "wheels/x.whl",
    "--find-links=wheels": "wheels/x.whl",
    "-r gone.txt": "gone.txt",
    "--requirement gone.txt": "gone.txt",
    "-c gone.txt": "gone.txt",
    "./pkg": "pkg/setup.py",
    "-e pkg/": "pkg/setup.py",
}
for text, gone in GONE.items():
    commands = {"postBuild": f"pip install {text}\n"} if "[" not in text else {}
    for name, text_of in {
        "requirements.txt": text,
        "environment.yml": f"dependencies:\n- pip:\n  - {text}\n",
        **commands,
    }.items():
        narrow(f"{name}, not there: {text}", {name: text_of})
        pair(f"{name}, not there and added: {text}", {name: text_of}, {gone: ""}, "new")
        pair(f"{name}, there and deleted: {text}", {name: text_of, gone: ""}, {gone: None}, "new")

INCLUDES = {
    "-r more.txt": "more.txt",
    "-rmore.txt": "more.txt",
    "-cmore.txt": "more.txt",
    "--requirement more.txt": "more.txt",
    "--requirement=deps/more.txt": "deps/more.txt",
    "-c pins.txt": "pins.txt",
    "--constraint=pins.txt": "pins.txt",
    "-r ./deps/more.txt": "deps/more.txt",
}
for text, other in INCLUDES.items():
    files = {"requirements.txt": f"{text}\nnumpy\n", other: "scipy\n"}
    narrow(f"an include: {text}", files)
    pair(f"an include: {text}, changed", files, {other: "scipy==1\n"}, "new")
    pair(f"an include: {text}, deleted", files, {other: None}, "new")
    broad(f"an include: {text}, of a path", {**files, other: "-e .\n"})
IN_BINDER = {"binder/requirements.txt": "-r more.txt\n-r ../deps/r.txt", "binder/more.txt": "a", "deps/r.txt": "b"}
narrow("an include above binder", IN_BINDER)
pair("an include above binder, changed", IN_BINDER, {"deps/r.txt": "c"}, "new")
IN_BINDER = {"binder/requirements.txt": "-r more.txt\n", "binder/more.txt": "-r deps.txt", "deps.txt": "numpy"}
narrow("an include of an include", IN_BINDER)
pair("an include of an include, changed", IN_BINDER, {"deps.txt": "scipy"}, "new")
narrow("includes in a circle", {"requirements.txt": "-r a.txt", "a.txt": "-r requirements.txt\nnumpy"})
pair("a file of that name appears", {"requirements.txt": "-r https://x.org/r.txt"}, {"r.txt": "x"}, "old")
for text in each("-r more.txt | '-r more.txt' | \"-rmore.txt\" | '-cmore.txt'"):
    IN_CONDA = {"environment.yml": f"dependencies:\n- pip:\n  - {text}", "more.txt": "numpy"}
    narrow(f"an include of conda's pip: {text}", IN_CONDA)
    pair(f"an include of conda's pip, changed: {text}", IN_CONDA, {"more.txt": "scipy"}, "new")

CONDA = {
    "empty": "",
    "without dependencies": "name: x\ndependencies:\n",
    "packages": "channels: [conda-forge]\ndependencies:\n- conda-forge::numpy=2.*\n- python >=3.12\n- r-base\n",
    "a channel's address": "channels: ['https://x.org/conda']\ndependencies: [x]\n",
    "pip of none": "dependencies:\n- pip\n- pip:\n",
    "pip as text": "dependencies:\n- pip: numpy\n",
    "aliases": "x: &x numpy\ndependencies: [*x]\n",
    "no mapping": "- a\n",
    "no YAML": "a: [\n",
    "odd": "dependencies: 5\n",
    "the name of a folder": "name: data\ndependencies:\n- src\n",
    "exported": "name: x\ndependencies:\n- numpy=2.0=py312_0\nprefix: /opt/conda/envs/x\n",
    "a comment": "dependencies:\n# as in src/pkg\n- numpy  # as in src\n",
    "a label": "channels: [pyviz/label/dev]\ndependencies: [x]\n",
}
for name, text in CONDA.items():
    narrow(f"environment.yml, {name}", {"environment.yml": text})
    narrow(f"environment.yaml in binder, {name}", {"binder/environment.yaml": text})
CONDA = {
    "a folder": "dependencies:\n- ./data\n",
    "a channel": "channels: [./data]\ndependencies: [x]\n",
    "a channel with an escape": 'channels: ["\\x2e/data"]\ndependencies: [x]\n',
    "a channel after another": "channels: [https://x.org/conda,./data]\ndependencies: [x]\n",
    "a folder on a line of its own": "dependencies:\n- pip:\n  - --find-links\n    data\n",
    "a variable": "dependencies: [x]\nvariables:\n  PYTHONPATH: src\n",
    "a channel's file": "channels: ['file:///home/jovyan/channel']\n",
    "two pips": "dependencies:\n- pip:\n  - a\n- pip:\n  - -e .\n",
    "an option as text": "dependencies:\n- pip: -e .\n",
    "an alias of the name": "name: &x -e .\ndependencies:\n- pip: [*x]\n",
    "an alias": "x: &x ./src\ndependencies:\n- pip: [*x]\n",
}
for name, text in CONDA.items():
    broad(f"environment.yml, {name}", {"environment.yml": text})

CONDA_ALONE = {"environment.yml": "dependencies: [numpy]"}
narrow(
    "environment.yml beside setup.py", {**CONDA_ALONE, "setup.py": "", "pyproject.toml": "[project]\n[build-system]\n"}
)
narrow("environment.yml beside requirements.txt", {**CONDA_ALONE, "requirements.txt": "-e ."})
narrow("environment.yml beside install.R", {**CONDA_ALONE, "install.R": 'source("src/x.R")'})
for name in each("requirements.txt | setup.py | pyproject.toml | Pipfile | install.R"):
    pair(f"environment.yml, {name} changes", {**CONDA_ALONE, name: "# a"}, {name: "# b"}, "old")
    pair(f"environment.yml goes, {name} stays", {**CONDA_ALONE, name: "# a"}, {"environment.yml": None}, "new")
pair(
    "environment.yml, REQUIRE and requirements.txt",
    {**CONDA_ALONE, "REQUIRE": "", "requirements.txt": ""},
    {"requirements.txt": "x"},
    "new",
)
pair("environment.yml, R comes", {**CONDA_ALONE, "install.R": ""}, {"runtime.txt": "r-4.4-2025-01-01"}, "new")
broad("environment.yml, Julia and setup.py", {**CONDA_ALONE, "Project.toml": "[deps]\n", "setup.py": ""})
broad(
    "environment.yml, R and requirements.txt",
    {**CONDA_ALONE, "runtime.txt": "r-4.4-2025-01-01", "requirements.txt": "-e ."},
)
broad("setup.py", {"setup.py": "", "requirements.txt": "numpy"})
broad("setup.py alone", {"setup.py": ""})
broad("DESCRIPTION", {"DESCRIPTION": "Package: x"})
broad("a package", {"pyproject.toml": "[build-system]\nx = 1\n[project]\nname = 'x'\n"})
broad("a package, escaped", {"pyproject.toml": '[project]\nname = "x"\n["build\\u002dsystem"]\n'})
broad("a package, dotted", {"pyproject.toml": "project.name = 'x'\n[build-system]\n"})
narrow("a pyproject of tools", {"pyproject.toml": "[tool.ruff]\n", "requirements.txt": "numpy"})
narrow("a pyproject with a Python alone", {"pyproject.toml": "[project]\nrequires-python = '>=3.12'\n"})
narrow("setup.py beside binder", {"binder/requirements.txt": "numpy", "setup.py": "", "DESCRIPTION": ""})
broad("setup.py in binder", {"binder/setup.py": "", "binder/requirements.txt": "numpy"})
broad("Nix", {"default.nix": "{}"})
narrow("a Dockerfile", {"Dockerfile": "FROM quay.io/jupyter/base-notebook:2025-01-01\nRUN pip install numpy\n"})
narrow("a Dockerfile in binder", {"binder/Dockerfile": "FROM x\n", "setup.py": ""})
narrow("a Dockerfile and what is not read then", {"Dockerfile": "FROM x\n", "setup.py": "", "postBuild": "make"})
pair("a Dockerfile, what is not read changes", {"Dockerfile": "FROM x\n", "apt.txt": "a"}, {"apt.txt": "b"}, "old")
pair("a Dockerfile goes", {"Dockerfile": "FROM x\n", "apt.txt": "a"}, {"Dockerfile": None}, "new")
narrow(
    "a Dockerfile with long commands", {"Dockerfile": "FROM x\nRUN pip install a && \\\n  pip install b&&\\\ntrue\n"}
)
for text in each(
    "COPY . /x | \u00a0COPY . /x | \vADD . /x | CO\\\nPY . /x | CO\\ \r\n# c\nPY . /x | RUN --mo\\\nunt=type=bind ls"
):
    broad(f"a Dockerfile with {text!r}", {"Dockerfile": f"FROM x\n{text}\n"})
broad("a Dockerfile of another syntax, in another comment", {"Dockerfile": "//syntax=x/y\nFROM x\n"})
broad("a Dockerfile that adds", {"Dockerfile": "FROM x\nadd src /x\n"})
broad("a Dockerfile that mounts", {"Dockerfile": "FROM x\nRUN --mount=type=bind,target=/x pip install /x\n"})
broad("a Dockerfile in parts", {"Dockerfile": "FROM x\nONBUILD \\\nCOPY . /x\n"})
broad("a Dockerfile of another syntax", {"Dockerfile": "# syntax=x/y\nFROM x\n"})
narrow("Pipfile", {"Pipfile": '[packages]\nnumpy = "*"\nx = {git = "https://github.com/org/x", ref = "main"}\n'})
broad("Pipfile, path", {"Pipfile": '[packages]\nx = {path = "src", editable = true}\n'})
broad("Pipfile, a quoted path", {"Pipfile": '[packages.x]\n"path" = "src"\n'})
broad("Pipfile, a name with a blank", {"Pipfile": '[packages]\nx = {path = "my src"}\n', "my src/x.py": ""})
pair("Pipfile, a file", {"Pipfile": '[packages]\nx = {file = "x.whl"}\n', "x.whl": "1"}, {"x.whl": "2"}, "new")
narrow("Pipfile.lock", {"Pipfile.lock": '{"default": {"numpy": {"version": "==2.0"}}}'})
broad("Pipfile.lock, path", {"Pipfile.lock": '{"default": {"x": {"editable": true, "path": "."}}}'})
narrow("Project.toml", {"Project.toml": '[deps]\nDataFrames = "a93c"\n[compat]\njulia = "1.10"\n', "Manifest.toml": ""})
for name in each("Artifacts.toml | JuliaArtifacts.toml | Manifest.toml | LocalPreferences.toml"):
    pair(f"{name} changes", {"Project.toml": "[deps]\n", name: "# a"}, {name: "# b"}, "new")
WORKSPACE = {"binder/Project.toml": "[deps]\n", "Project.toml": "[workspace]\nprojects = ['binder']\n"}
broad("Project.toml of a workspace", WORKSPACE)
narrow("Project.toml beside that of a package", {**WORKSPACE, "Project.toml": "name = 'X'\n"})
broad("Project.toml of a package", {"Project.toml": 'name = "X"\nuuid = "1"\n'})
broad("Project.toml with a source", {"Project.toml": '[deps]\nX = "1"\n[sources]\nX = {url = "src"}\n'})
narrow("Manifest.toml", {"Manifest.toml": '[[deps.X]]\nuuid = "1"\nversion = "1.0"\n', "Project.toml": "[deps]\n"})
broad("Manifest.toml with a path", {"Manifest.toml": '[[deps.X]]\npath = "../X"\n', "Project.toml": "[deps]\n"})
broad("Manifest of a version", {"Manifest-v1.12.toml": '[[deps.X]]\npath = "src"\n', "Project.toml": "[deps]\n"})
broad("Manifest with a repository", {"Manifest.toml": '[[deps.X]]\nrepo-url = "../X"\n', "Project.toml": "[deps]\n"})
for text in each(
    'install.packages("tidyverse") | install.packages(c("a.b", \'c\')) | devtools::install_github("org/repo@main")',
    'install.packages("x", repos="https://cran.org") | library(x) | # source("x.R")',
    'remotes::install_version("x", "1.0")',
    'install.packages(c(\n  "a",  # one\n  "b"\n))\n\nlibrary(x); library(y)',
    'install.packages("x.tar.gz", repos=NULL)',
    'options(repos = c(CRAN = "https://cran.org"), Ncpus = 4) | BiocManager::install("x")',
):
    narrow(f"install.R {text}", {"install.R": text, "runtime.txt": "r-4.4-2025-01-01"})
for text in each(
    'source("src/x.R") | install.packages("./src", repos=NULL) | install.packages("src", repos=NULL)',
    'library(x)\nsource("x.R") | f <- library | x(library(y)) | library(x)(y) | library(paste("a"))',
    'devtools::install(".") | devtools::install_local("src") | system("make") | x <- getwd() | install.packages(x$y)',
    'renv::restore() | install.packages(readLines("r.txt")) | remotes::install_deps()',
):
    broad(f"install.R {text}", {"install.R": text, "runtime.txt": "r-4.4-2025-01-01"})

NARROW_SCRIPTS = each(
    " | #!/bin/bash\n# uses data\n | #!/usr/bin/env bash\nset -euo pipefail\necho done | #!/bin/bash -l\n | true",
    "pip install numpy 'scipy>=1' \"dask[array]\" | pip install --no-cache-dir -U numpy==2.0 | pip3 install -q x y",
    "pip install git+https://github.com/org/pkg | pip install -e git+https://github.com/org/x#egg=x",
    "pip uninstall -y x",
    "pip install \\\n  numpy \\\n  scipy | pip install numpy # from PyPI",
    "pip install numpy && pip install scipy || true; echo x",
    "pip install -i https://x.org/simple numpy | pip install --index-url https://x.org/simple numpy",
    "conda install -y -c conda-forge numpy | mamba install --yes numpy=2 | conda clean --all -f -y",
    "apt-get install -y cowsay",
    "jupyter labextension install @jupyter-widgets/jupyterlab-manager@0.38 --minimize=False | jupyter lab build",
    "jupyter nbextension enable --py widgetsnbextension | jupyter server extension enable x | jupyter lab clean",
    "jupyter serverextension enable --py nbgitpuller --sys-prefix | jupyter contrib nbextension install --user",
    "jupyter labextension install --no-build \\\n  @org/a \\\n  b@~1.0 | jupyter labextension list",
    "pip install 'dask[data]' | pip install -Ur gone.txt",
    "echo 'all of . and $HOME' | echo hello > /dev/null | mkdir -p ~/.jupyter | rm -rf /tmp/x | chmod +x start src",
    "wget https://x.org/a.zip -O /tmp/a.zip | curl -L https://x.org/a -o a.bin",
    "git clone https://github.com/org/thing",
    "git clone --depth 1 https://github.com/org/thing /tmp/thing | export A=b | A=b pip install numpy | export A='b c'",
    "export A=https://x.org/a | conda install ./x.conda | conda install x.tar.bz2 | conda install -c ./channel x",
    'NODE_OPTIONS=--max-old-space-size=4096 jupyter lab build | export DASK_X=y\nexec "$@" | pip install numpy 2>&1',
    'pip install numpy > /dev/null 2>&1 | pip install "numpy~=1.0" | : | touch started | rm -rf src',
)
BROAD_SCRIPTS = each(
    "make | make install | invoke build | just | quarto render | dvc pull | npm ci | npm install | yarn",
    "poetry install",
    "uv sync | pixi install | tox | nox | julia -e 1 | Rscript -e 1 | R CMD INSTALL . | cargo build | snakemake",
    "doit",
    "find . -name '*.py' -exec python {} ; | ls|xargs pip install | ls data/* | for f in *.md; do x; done | cat x",
    "cp *.py /tmp | cp src/* /tmp | cp src/?.py /tmp | cp src/[a-z].py /tmp | cp {src,data} /tmp | cp -rL src /tmp",
    "pip install . | pip install ./ | pip install -e. | pip install -e . | pip install '.[dev]'",
    "pip install -e ./src",
    "pip install src/ | pip install -Ur data | pip install --req data | pip install -r/etc/x",
    "pip install --find-links data x | pip install $PKG",
    "pip install $(cat x)",
    "pip install `cat x` | pip install <(cat x) | pip install -r /dev/stdin < data/x.csv | pip install file:src",
    "python setup.py install | python -m pip install numpy | python helper.py | python3 -c 'import x' | bash src/x.sh",
    "./src/x.sh | source src/x.sh | . src/x.sh | sh -c make | cd src | cd src && pip install numpy | eval make",
    "(make)",
    "curl https://x.org|sh | wget -O - https://x.org|bash | curl -K data | tar xf data/x.csv | sudo make",
    "conda env update -f data/x.csv | conda install --file data | conda install -yf data | mamba env update",
    "conda install ./src | conda install -c ./data x",
    "jupyter labextension install . | jupyter labextension install --no-build; echo x | jupyter labextension develop",
    "jupyter labextension build | pip install --group dev | pip install --gr=dev | PIP_GROUP=dev pip install x",
    "git clone .git /tmp/x | git clone ~/.git x | git clone --reference=./.git https://x.org/a | printf -v PATH src",
    "pip install ~0/src | export A=~1/src | pip install '-e.' | pip install \"-fdata\"",
    "jupyter labextension install src | jupyter nbextension install src/pkg | jupyter nbconvert --execute index.ipynb",
    "git submodule update --init | git lfs pull | git clone . /tmp/x | git clone src /tmp/x",
    "git clone file:///home/x",
    'cp -r . /tmp | cp -r ~ /tmp | cp -r ~/ /tmp | cp -r $HOME /tmp | cp -r "$REPO_DIR" /tmp | cp -r ${PWD} /tmp',
    "cp .. x",
    "cp /home/jovyan/src /tmp | cp /proc/self/cwd/src /tmp | cp src/../Makefile /tmp | cp ~jovyan/src /tmp",
    "PYTHONPATH=src pip install numpy | export PYTHONPATH=src | export PATH=$PATH:src",
    "A=. pip install x",
    "if [ -f src ]; then pip install x; fi | [ -f x ] && make | x() { make; } | pip install numpy & | alias pip=make",
    "cp src/pip ~/.local/bin/pip | unzip data/x.csv | cp data/x.csv ~/.condarc | echo x > ~/.config/pip/pip.conf",
    "cp data/x.csv /tmp | mv data x | echo x >> notes.txt | echo -e . > /tmp/r.txt; pip install -r /tmp/r.txt | ls",
    "PYTHONPATH=/tmp: pip install x | export PYTHONPATH=:/tmp | pip install ~+ | pip install 's'rc | pip install s'rc'",
    "cat <<EOF > requirements.txt | pip install numpy\r\n",
    "#!/usr/bin/env python\nimport x",
    '#!/bin/bash\nmake | echo `make` | echo $(make) | echo "$(make)" | wget -i file:///home | pip install a\\ b',
    "exec make",
)
for script in ("postBuild", "binder/start"):
    for text in NARROW_SCRIPTS:
        narrow(f"{script} {text!r}", {script: text, "wanted/apt.txt": ""})
    for text in BROAD_SCRIPTS:
        broad(f"{script} {text!r}", {script: text})
USES = {
    "curl -d @data/x.csv https://x.org": "data/x.csv",
    "curl --data=data/x.csv https://x.org": "data/x.csv",
    "wget --post-file=data/x.csv https://x.org": "data/x.csv",
    "wget -Fdata/x.csv https://x.org": "data/x.csv",
    "curl -K data/x.csv": "data/x.csv",
    "pip install -Ur data/x.csv": "data/x.csv",
    "pip install -Urdata/x.csv": "data/x.csv",
    "pip install '-qrdata/x.csv'": "data/x.csv",
    "pip install --req data/x.csv": "data/x.csv",
    "conda install --file data/x.csv": "data/x.csv",
    "conda install -yf ~/data/x.csv": "data/x.csv",
    "mkdir -p data/x.csv": "",
    "echo data/x.csv": "",
    "chmod +x data/x.csv": "",
}
for text, used in USES.items():
    pair(f"a file that is named: {text}", {"postBuild": text}, {"data/x.csv": "2"}, "new" if used else "old")
    pair(f"another file: {text}", {"postBuild": text}, {"src/pkg/__init__.py": "2"}, "old")
    if used:
        broad(f"a file that names a folder: {text}", {"postBuild": text, used: "./src"})
pair("what was not there when it was named", {"postBuild": "wget -i extra.txt || true"}, {"extra.txt": "1"}, "new")
pair(
    "a folder of a command's argument appears", {"postBuild": "jupyter labextension install ext"}, {"ext/a": "1"}, "new"
)
broad("a folder of a package's name", {"postBuild": "pip install dask", "dask/a": "1"})
INCLUDED = {"postBuild": "pip install -r deps/r.txt\n", "deps/r.txt": "numpy"}
narrow("an include of a script", INCLUDED)
pair("an include of a script, changed", INCLUDED, {"deps/r.txt": "scipy"}, "new")
broad("an include of a script, of a path", {**INCLUDED, "deps/r.txt": "-e ."})
broad(
    "an include that the script wrote", {**INCLUDED, "postBuild": "cp data/x.csv deps/r.txt\npip install -r deps/r.txt"}
)
broad("a file that is included and run", {"requirements.txt": "-r postBuild", "postBuild": "make"})
broad("an include that the script added to", {**INCLUDED, "postBuild": "echo -e . >> r.txt\npip install -r deps/r.txt"})
broad("commands of the repository's own", {"postBuild": "pip install numpy", ".local/bin/pip": "make"})
broad("commands of the repository's own, without a script", {"Project.toml": "[deps]\n", ".local/bin/julia": "make"})
GROUP = {"binder/postBuild": "pip install --group dev", "pyproject.toml": "[dependency-groups]\ndev = ['a']"}
broad("a group of packages in a setting", {"binder/apt.txt": "x", ".pip/pip.conf": "[install]\ngroup = dev\n"})
pair("a group of packages", GROUP, {"pyproject.toml": "[dependency-groups]\ndev = ['b']"}, "new")
narrow("what lies in binder and is not used", {"binder/postBuild": "echo x", "binder/go.sh": "make"})
pair("what lies in binder", {"binder/postBuild": "echo x", "binder/go.sh": "1"}, {"binder/go.sh": "2"}, "new")

# The home directory, which is the repository
for name in each(
    ".jupyter/jupyter_server_config.json | .ipython/profile_default/startup/x.py | .config/dask/x.yaml | .dask/x.yaml",
    ".local/share/jupyter/kernels/x/kernel.json | .condarc | .npmrc | .Rprofile | .Renviron | .bash_profile | .curlrc",
    ".python-version | .gitattributes | .gitmodules | .pip/pip.conf | .config/pip/pip.conf | .dockerignore | .profile",
    "jupyter_server_config.py | jupyter_notebook_config.py | ipython_config.py | .hidden",
):
    pair(f"{name} changes", {"environment.yml": "", name: "# x"}, {name: "# y"}, "new")
    pair(f"{name} appears", {"environment.yml": ""}, {name: "# y"}, "new")
    pair(f"{name} stays", {"environment.yml": "", name: "# x"}, {"data/x.csv": "2"}, "old")
for name in each(
    ".gitignore | .github/workflows/x.yml | .pre-commit-config.yaml | .readthedocs.yml | .vscode/x.json",
    ".editorconfig | .ruff.toml | .mailmap",
    "myst.yml | _config.yml | _toc.yml | LICENSE | CITATION.cff | docs/conf.py | thumbnail.png | binder.md",
    "notes.txt",
):
    pair(f"{name} is none of it", {"environment.yml": "", name: "x"}, {name: "y"}, "old")
broad("R's profile that reads others", {"environment.yml": "", ".Rprofile": 'source("renv/activate.R")'})
broad("a profile that reads others", {"environment.yml": "", ".bash_profile": ". ./src/env.sh"})
broad("a profile that calls others", {"environment.yml": "", ".profile": "make"})
broad("a profile of a login", {"environment.yml": "", ".bash_login": "make"})
for name in each(".conda/condarc | .conda/.condarc | .config/conda/condarc | .mambarc"):
    broad(f"a channel of the repository in {name}", {"environment.yml": "", name: "channels: [./data]"})
broad("a program in place of yarn", {"postBuild": "jupyter lab build", ".yarnrc.yml": "yarnPath: src/pkg/__init__.py"})
pair("a file that curl reads", {"postBuild": "curl x", ".curlrc": "data = @data/x.csv"}, {"data/x.csv": "2"}, "new")
broad("a channel of the repository", {"environment.yml": "", ".condarc": "channels: [./data]"})
broad("wheels of the repository", {"requirements.txt": "x", ".config/pip/pip.conf": "[install]\nfind-links = data"})
broad("wheels on a line of their own", {"requirements.txt": "x", ".pip/pip.conf": "[install]\nfind-links =\n  data\n"})
narrow("settings of R", {"environment.yml": "", ".Rprofile": 'options(repos = "https://cran.org")', ".Renviron": "A=b"})
narrow("settings of a shell", {"environment.yml": "", ".bash_profile": "export A=b\n"})

# Prose and other files, where all count
for name in each(
    "a.md | a/b.RST | a.ipynb | x.bib | x.png | x.JPG | x.svg | LICENSE | license.txt | COPYING | CITATION.cff",
    "AUTHORS",
    ".github/x.yml | myst.yml | book/_toc.yml | _config.yml | CHANGELOG | x.webp",
):
    pair(f"prose, where all counts: {name}", {"setup.py": ""}, {name: "2"}, "old")
for name in each(
    "a.txt | a.py | x.csv | .gitignore | x.md/y | LICENSE.py | x.mdx | x.cfg | md | a.pdf | docs/.github.py | x.yml"
):
    pair(f"no prose, where all counts: {name}", {"setup.py": ""}, {name: "2"}, "new")
pair("a folder of prose is gone", {"setup.py": "", "docs/a.md": ""}, {"docs/a.md": None}, "old")
pair("code becomes prose", {"setup.py": "", "a.py": ""}, {"a.py": None, "a.md": ""}, "new")

NAMED = {"requirements.txt": "-r more.md\n-e .", "more.md": "numpy"}
pair("prose that is included, where all counts", NAMED, {"more.md": "scipy"}, "new")

# Links
LINKED = {"environment.yml": f"{LINK}envs/main.yml", "envs/main.yml": "dependencies: []"}
narrow("a link", {"envs/main.yml": "dependencies: []", "environment.yml": f"{LINK}envs/main.yml"})
pair("a link that leads elsewhere", {**LINKED, "envs/b.yml": ""}, {"environment.yml": f"{LINK}envs/b.yml"}, "new")
pair("a link that became a file", LINKED, {"environment.yml": "dependencies: []"}, "new")
IN_BINDER = {"binder/environment.yml": f"{LINK}../environment.yml", "environment.yml": "dependencies: []"}
narrow("a link out of binder", IN_BINDER)
pair("a link out of binder, changed", IN_BINDER, {"environment.yml": "dependencies: [x]"}, "new")
pair("a link to a link", {**LINKED, "envs/main.yml": f"{LINK}../x.yml", "x.yml": ""}, {"x.yml": "name: x"}, "new")
broad("binder as a link", {"deploy/apt.txt": "a", "binder": f"{LINK}deploy"})
pair("binder as a link, changed", {"deploy/apt.txt": "a", "binder": f"{LINK}deploy"}, {"deploy/apt.txt": "b"}, "new")
LOST = {"environment.yml": f"{LINK}gone.yml"}
pair("a link to nowhere", LOST, {"data/x.csv": "2"}, "old")
pair("a link to nowhere, which is there then", LOST, {"gone.yml": "dependencies: []"}, "new")
broad("a script behind a link", {"postBuild": f"{LINK}src/build", "src/build": "make"})
broad("a link out of the repository", {"environment.yml": f"{LINK}../x.yml"})
broad("a link to the root", {"environment.yml": f"{LINK}/etc/x.yml"})
pair("a link to itself", {"environment.yml": f"{LINK}environment.yml"}, {"data/x.csv": "2"}, "old")
broad("a link to a folder", {"environment.yml": f"{LINK}data"})
broad("a Dockerfile as a link to nowhere", {"Dockerfile": f"{LINK}gone", "requirements.txt": "-e ."})
broad("environment.yml as a link to nowhere", {"environment.yml": f"{LINK}gone.yml", "requirements.txt": "-e ."})
for name in each(".jupyter | .config/dask | jupyter_server_config.d/x | .python-version"):
    broad(f"{name} as a link", {"environment.yml": "", name: f"{LINK}data"})
narrow("a link in binder that is not used", {"binder/environment.yml": "", "binder/data": f"{LINK}../data"})
broad("a link below a link", {"environment.yml": f"{LINK}a/main.yml", "a": f"{LINK}envs", "envs/main.yml": ""})
broad("binder as a link to nowhere", {"binder": f"{LINK}gone"})
NAMED = {"postBuild": "wget -i x.csv", "x.csv": f"{LINK}data/x.csv"}
pair("a link that a script names", NAMED, {"data/x.csv": "2"}, "new")
pair("a link that a script names, and something else", NAMED, {"src/pkg/__init__.py": "2"}, "old")
broad(
    "a setting that names a program", {"postBuild": "export BASH_ENV=env.sh\npip install numpy", "env.sh": "cat src/*"}
)
broad("a list that names a program", {"requirements.txt": "x @ script.py", "script.py": ""})
broad("a link on the way of a script", {"postBuild": "wget -i d/x.csv", "d": f"{LINK}data"})
broad("a file on the way of a script", {"postBuild": "wget -i Makefile/x.csv"})
broad("a folder where a file should be", {"environment.yml": "", "start/here.txt": ""})
