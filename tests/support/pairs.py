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
)
BROAD_REQUIREMENTS = each(
    ". | ./ | .. | ./pkg | ../pkg | src/ | src/pkg | /abs/pkg | .[dev] | ./src[dev]>=1 | ${HERE}/pkg | ~/src",
    "-e . | -e. | -e ./src | -e src | -e src[dev] | --editable . | --editable=./src |   -e .  # here | -e \\\n  .",
    "# c \\\n-e . | numpy\n-e .\n | numpy\r\n-e .\r\n | \ufeff-e . | ./src --config-settings a=b | -r . | -r gone.txt",
    "./src ; python_version > '3' | file:src | file:./src | file:///srv/src | src @ file:src | src@file:src",
    "src @ ./src",
    "-e file:src | -e git+file:///srv/src | git+file:src | git://../src | --index-url file:///srv",
    "--extra-index-url=./simple | wheels/x.whl | x-1.0-py3-none-any.whl | x-1.0.tar.gz | x.zip | x.tar.bz2",
    "x.whl[dev]",
    "file\\\n:src | -f wheels/ | -f./wheels | --find-links ./wheels | --find-links=wheels | a\0b | --oops",
    "numpy scipy",
    "-r ../requirements.txt | -r src/../requirements.txt | --use-feature=x | $PKG",
)
for text in NARROW_REQUIREMENTS:
    narrow(f"requirements.txt {text!r}", {"requirements.txt": text})
for text in BROAD_REQUIREMENTS:
    broad(f"requirements.txt {text!r}", {"requirements.txt": text})
for text in each("numpy | numpy[x]>=2 | git+https://github.com/org/pkg"):
    narrow(f"pip in environment.yml {text!r}", {"environment.yml": f"dependencies:\n- python\n- pip:\n  - {text}\n"})
for text in each("-e . | ./src | '.' | src/ | x.whl | -r gone.txt"):
    broad(f"pip in environment.yml {text!r}", {"environment.yml": f"dependencies:\n- python\n- pip:\n  - {text}\n"})

INCLUDES = {
    "-r more.txt": "more.txt",
    "-rmore.txt": "more.txt",
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
IN_CONDA = {"environment.yml": "dependencies:\n- pip:\n  - -r requirements-pip.txt", "requirements-pip.txt": "numpy"}
narrow("an include of conda's pip", IN_CONDA)
pair("an include of conda's pip, changed", IN_CONDA, {"requirements-pip.txt": "scipy"}, "new")

CONDA = {
    "empty": "",
    "without dependencies": "name: x\ndependencies:\n",
    "packages": "channels: [conda-forge]\ndependencies:\n- conda-forge::numpy=2.*\n- python >=3.12\n- r-base\n",
    "a channel's address": "channels: ['https://x.org/conda']\ndependencies: [x]\n",
    "pip of none": "dependencies:\n- pip\n- pip:\n",
    "pip as text": "dependencies:\n- pip: numpy\n",
    "aliases": "x: &x numpy\ndependencies: [*x]\n",
}
for name, text in CONDA.items():
    narrow(f"environment.yml, {name}", {"environment.yml": text})
    narrow(f"environment.yaml in binder, {name}", {"binder/environment.yaml": text})
CONDA = {
    "no mapping": "- a\n",
    "no YAML": "a: [\n",
    "odd": "dependencies: 5\n",
    "a file": "dependencies:\n- ./x.conda\n",
    "an archive": "dependencies:\n- pkgs/x.tar.bz2\n",
    "a channel": "channels: [./channel]\ndependencies: [x]\n",
    "a channel's file": "channels: ['file:///home/jovyan/channel']\n",
    "two pips": "dependencies:\n- pip:\n  - a\n- pip:\n  - -e .\n",
    "an option as text": "dependencies:\n- pip: -e .\n",
    "another mapping": "dependencies:\n- npm: [x]\n",
    "an odd pip": "dependencies:\n- pip: {a: b}\n",
    "nested aliases": "\n".join(
        ["l0: &l0 [x]", *(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 20))]
    )
    + "\ndependencies:\n- pip: *l19\n",
}
for name, text in CONDA.items():
    broad(f"environment.yml, {name}", {"environment.yml": text})

CONDA_ALONE = {"environment.yml": "dependencies: [numpy]"}
narrow(
    "environment.yml beside setup.py", {**CONDA_ALONE, "setup.py": "", "pyproject.toml": "[project]\n[build-system]\n"}
)
narrow("environment.yml beside requirements.txt", {**CONDA_ALONE, "requirements.txt": "-e ."})
broad("environment.yml, Julia and setup.py", {**CONDA_ALONE, "Project.toml": "[deps]\n", "setup.py": ""})
broad(
    "environment.yml, R and requirements.txt",
    {**CONDA_ALONE, "runtime.txt": "r-4.4-2025-01-01", "requirements.txt": "-e ."},
)
broad("setup.py", {"setup.py": "", "requirements.txt": "numpy"})
broad("setup.py alone", {"setup.py": ""})
broad("DESCRIPTION", {"DESCRIPTION": "Package: x"})
broad("a package", {"pyproject.toml": "[build-system]\nx = 1\n[project]\nname = 'x'\n"})
broad("a package, dotted", {"pyproject.toml": "project.name = 'x'\n[build-system]\n"})
narrow("a pyproject of tools", {"pyproject.toml": "[tool.ruff]\n", "requirements.txt": "numpy"})
narrow("a pyproject with a Python alone", {"pyproject.toml": "[project]\nrequires-python = '>=3.12'\n"})
narrow("setup.py beside binder", {"binder/requirements.txt": "numpy", "setup.py": "", "DESCRIPTION": ""})
narrow("setup.py in binder", {"binder/setup.py": "", "binder/requirements.txt": "numpy"})
broad("Nix", {"default.nix": "{}"})
narrow("a Dockerfile", {"Dockerfile": "FROM quay.io/jupyter/base-notebook:2025-01-01\nRUN pip install numpy\n"})
narrow("a Dockerfile in binder", {"binder/Dockerfile": "FROM x\n", "setup.py": ""})
narrow("a Dockerfile and what is not read then", {"Dockerfile": "FROM x\n", "setup.py": "", "postBuild": "make"})
broad("a Dockerfile that copies", {"Dockerfile": "FROM x\nCOPY . /home\n"})
broad("a Dockerfile that adds", {"Dockerfile": "FROM x\nadd src /x\n"})
broad("a Dockerfile that mounts", {"Dockerfile": "FROM x\nRUN --mount=type=bind,target=/x pip install /x\n"})
broad("a Dockerfile in parts", {"Dockerfile": "FROM x\nONBUILD \\\nCOPY . /x\n"})
broad("a Dockerfile of another syntax", {"Dockerfile": "# syntax=x/y\nFROM x\n"})
narrow("Pipfile", {"Pipfile": '[packages]\nnumpy = "*"\nx = {git = "https://github.com/org/x", ref = "main"}\n'})
broad("Pipfile, path", {"Pipfile": '[packages]\nx = {path = "src", editable = true}\n'})
broad("Pipfile, a quoted path", {"Pipfile": '[packages.x]\n"path" = "pkg"\n'})
broad("Pipfile, a file", {"Pipfile": '[packages]\nx = {file = "x.whl"}\n'})
narrow("Pipfile.lock", {"Pipfile.lock": '{"default": {"numpy": {"version": "==2.0"}}}'})
broad("Pipfile.lock, path", {"Pipfile.lock": '{"default": {"x": {"editable": true, "path": "."}}}'})
narrow("Project.toml", {"Project.toml": '[deps]\nDataFrames = "a93c"\n[compat]\njulia = "1.10"\n', "Manifest.toml": ""})
broad("Project.toml of a package", {"Project.toml": 'name = "X"\nuuid = "1"\n'})
broad("Project.toml with a source", {"Project.toml": '[deps]\nX = "1"\n[sources]\nX = {url = "X"}\n'})
narrow("Manifest.toml", {"Manifest.toml": '[[deps.X]]\nuuid = "1"\nversion = "1.0"\n', "Project.toml": "[deps]\n"})
broad("Manifest.toml with a path", {"Manifest.toml": '[[deps.X]]\npath = "../X"\n', "Project.toml": "[deps]\n"})
broad("Manifest of a version", {"Manifest-v1.12.toml": '[[deps.X]]\npath = "X"\n', "Project.toml": "[deps]\n"})
broad("Manifest with a repository", {"Manifest.toml": '[[deps.X]]\nrepo-url = "../X"\n', "Project.toml": "[deps]\n"})
for text in each(
    'install.packages("tidyverse") | install.packages(c("a.b", \'c\')) | devtools::install_github("org/repo@main")',
    'install.packages("x", repos="https://cran.org") | library(x) | # source("x.R")',
    'remotes::install_version("x", "1.0")',
):
    narrow(f"install.R {text}", {"install.R": text, "runtime.txt": "r-4.4-2025-01-01"})
for text in each(
    'source("src/x.R") | install.packages("./x.tar.gz", repos=NULL) | install.packages("x.tar.gz", repos=NULL)',
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
    "echo 'all of . and $HOME' | echo hello > /tmp/log | echo x >> notes.txt | mkdir -p ~/.jupyter | rm -rf /tmp/x",
    "wget https://x.org/a.zip -O /tmp/a.zip | curl -L https://x.org/a -o a.bin",
    "git clone https://github.com/org/thing",
    "git clone --depth 1 https://github.com/org/thing /tmp/thing | export A=b | A=b pip install numpy | export A",
    "ls /tmp",
    'NODE_OPTIONS=--max-old-space-size=4096 jupyter lab build | export DASK_X=y\nexec "$@" | pip install numpy 2>&1',
    'pip install numpy > /dev/null 2>&1 | pip install "numpy~=1.0" | : | touch started | cp /etc/hosts /tmp',
    "chmod +x start",
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
    "pip install src/ | pip install -Ur data/x.csv | pip install --req data/x.csv",
    "pip install --requirement gone.txt",
    "pip install -r gone.txt | pip install x.whl | pip install --find-links wheels x | pip install $PKG",
    "pip install $(cat x)",
    "pip install `cat x` | pip install <(cat x) | pip install -r /dev/stdin < data/x.csv | pip install file:src",
    "python setup.py install | python -m pip install numpy | python helper.py | python3 -c 'import x' | bash src/x.sh",
    "./src/x.sh | source src/x.sh | . src/x.sh | sh -c make | cd src | cd src && pip install numpy | eval make",
    "(make)",
    "curl https://x.org|sh | wget -O - https://x.org|bash | curl -K data/x.csv | tar xf data/x.csv | sudo make",
    "conda env update -f data/x.csv | conda install --file data/x.csv | conda install -yf x | mamba env update",
    "conda install ./x.conda | conda install x.tar.bz2 | conda install -c ./channel x",
    "jupyter labextension install .",
    "jupyter labextension install src | jupyter nbextension install src/pkg | jupyter nbconvert --execute index.ipynb",
    "git submodule update --init | git lfs pull | git clone . /tmp/x | git clone src /tmp/x",
    "git clone file:///home/x",
    'cp -r . /tmp | cp -r ~ /tmp | cp -r ~/ /tmp | cp -r $HOME /tmp | cp -r "$REPO_DIR" /tmp | cp -r ${PWD} /tmp',
    "cp .. x",
    "cp /home/jovyan/src /tmp | cp /proc/self/cwd/src /tmp | cp src/../Makefile /tmp | cp ~jovyan/src /tmp",
    "PYTHONPATH=src pip install numpy | export PYTHONPATH=src | export PYTHONPATH= | export PATH=$PATH:src",
    "A=. pip install x",
    "if [ -f src ]; then pip install x; fi | [ -f x ] && make | x() { make; } | pip install numpy & | alias pip=make",
    "cp src/pip ~/.local/bin/pip | unzip data/x.csv | cp data/x.csv ~/.condarc | echo x > ~/.config/pip/pip.conf",
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
    "cp data/x.csv ~/.jupyter/": "data/x.csv",
    "cp -r data ~/.jupyter/": "data/y/z",
    "cp ~/data/x.csv ./data/y /tmp": "data/x.csv",
    "chmod +x data/x.csv": "data/x.csv",
    "curl -d @data/x.csv https://x.org": "data/x.csv",
    "curl --data=data/x.csv https://x.org": "data/x.csv",
    "wget --post-file=data/x.csv https://x.org": "data/x.csv",
    "wget -Fdata/x.csv https://x.org": "data/x.csv",
    "mv data/x.csv x": "data/x.csv",
    "echo x >> data/x.csv": "data/x.csv",
    "pip install --no-index": "pip.conf.d/x",
}
for text, used in USES.items():
    expected = "old" if used == "pip.conf.d/x" else "new"
    pair(f"a file that is named: {text}", {"postBuild": text}, {used: "2"}, expected)
    pair(f"another file: {text}", {"postBuild": text}, {"src/pkg/__init__.py": "2"}, "old")
pair("what was not there when it was named", {"postBuild": "cp extra.txt /tmp || true"}, {"extra.txt": "1"}, "new")
pair(
    "a folder of a command's argument appears", {"postBuild": "jupyter labextension install ext"}, {"ext/a": "1"}, "new"
)
pair("a folder of a package's name", {"postBuild": "pip install dask", "dask/a": "1"}, {"dask/a": "2"}, "new")
INCLUDED = {"postBuild": "pip install -r deps/r.txt\n", "deps/r.txt": "numpy"}
narrow("an include of a script", INCLUDED)
pair("an include of a script, changed", INCLUDED, {"deps/r.txt": "scipy"}, "new")
broad("an include of a script, of a path", {**INCLUDED, "deps/r.txt": "-e ."})
broad(
    "an include that the script wrote", {**INCLUDED, "postBuild": "cp data/x.csv deps/r.txt\npip install -r deps/r.txt"}
)
broad("an include that the script added to", {**INCLUDED, "postBuild": "echo -e . >> r.txt\npip install -r deps/r.txt"})
broad("commands of the repository's own", {"postBuild": "pip install numpy", ".local/bin/pip": "make"})
narrow("what lies in binder and is not used", {"binder/postBuild": "echo x", "binder/go.sh": "make"})
pair("what lies in binder", {"binder/postBuild": "echo x", "binder/go.sh": "1"}, {"binder/go.sh": "2"}, "new")

# The home directory, which is the repository
for name in each(
    ".jupyter/jupyter_server_config.json | .ipython/profile_default/startup/x.py | .config/dask/x.yaml | .dask/x.yaml",
    ".local/share/jupyter/kernels/x/kernel.json | .condarc | .npmrc | .Rprofile | .Renviron | .bash_profile | .curlrc",
    ".python-version | .gitattributes | .gitmodules | .pip/pip.conf | .config/pip/pip.conf | .dockerignore | .profile",
    "jupyter_server_config.py | jupyter_notebook_config.py | ipython_config.py | .hidden",
):
    pair(f"{name} changes", {"environment.yml": "", name: "x"}, {name: "y"}, "new")
    pair(f"{name} appears", {"environment.yml": ""}, {name: "y"}, "new")
    pair(f"{name} stays", {"environment.yml": "", name: "x"}, {"data/x.csv": "2"}, "old")
for name in each(
    ".gitignore | .github/workflows/x.yml | .pre-commit-config.yaml | .readthedocs.yml | .vscode/x.json",
    ".editorconfig",
    "myst.yml | _config.yml | _toc.yml | LICENSE | CITATION.cff | docs/conf.py | thumbnail.png | binder.md",
    "notes.txt",
):
    pair(f"{name} is none of it", {"environment.yml": "", name: "x"}, {name: "y"}, "old")
broad("R's profile that reads others", {"environment.yml": "", ".Rprofile": 'source("renv/activate.R")'})
broad("a profile that reads others", {"environment.yml": "", ".bash_profile": ". ./src/env.sh"})
broad("a channel of the repository", {"environment.yml": "", ".condarc": "channels: [./channel]"})
broad("wheels of the repository", {"requirements.txt": "x", ".config/pip/pip.conf": "[install]\nfind-links = wheels"})

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
narrow("binder as a link", {"deploy/apt.txt": "a", "binder": f"{LINK}deploy"})
pair("binder as a link, changed", {"deploy/apt.txt": "a", "binder": f"{LINK}deploy"}, {"deploy/apt.txt": "b"}, "new")
broad("a link to nowhere", {"environment.yml": f"{LINK}gone.yml"})
broad("a link out of the repository", {"environment.yml": f"{LINK}../x.yml"})
broad("a link to the root", {"environment.yml": f"{LINK}/etc/x.yml"})
broad("a link to itself", {"environment.yml": f"{LINK}environment.yml"})
broad("a link below a link", {"environment.yml": f"{LINK}a/main.yml", "a": f"{LINK}envs", "envs/main.yml": ""})
broad("binder as a link to nowhere", {"binder": f"{LINK}gone"})
broad("a link that a script names", {"postBuild": "cp x.csv /tmp", "x.csv": f"{LINK}data/x.csv"})
broad("a link on the way of a script", {"postBuild": "cp d/x.csv /tmp", "d": f"{LINK}data"})
broad("a folder where a file should be", {"environment.yml": "", "start/here.txt": ""})
