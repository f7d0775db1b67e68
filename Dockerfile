# One image: the Action (action.yml names its two entrypoints), and `docker run clinder start ...`.
FROM python:3.13-slim AS complete

# Without what the requirements of the requirements say: image.txt is complete, and leaves out what actions-toolkit names
# but never imports for its commands (PyGithub with its cryptography: 35 MB). Its tests, which it
# installs as a package of that very name, go too, and dulwich's.
COPY requirements/image.txt /tmp/image.txt
RUN PYTHONDONTWRITEBYTECODE=1 pip install --no-compile --no-cache-dir --no-deps --require-hashes \
        --disable-pip-version-check --root-user-action=ignore -r /tmp/image.txt \
    && cd /usr/local/lib/python3.13/site-packages && rm -rf /tmp/image.txt tests dulwich/tests

# The base comes without bytecode. Importing writes it for what clinder uses, the standard library's part included, and
# for nothing else: half the size of compiling everything, and no job compiles anything.
COPY clinder /usr/local/lib/python3.13/site-packages/clinder
RUN python3 -I -c "import argcomplete, clinder.action, clinder.cli.commands, clinder.cli.progress, clinder.target.target, yaml" \
    && printf '#!/usr/local/bin/python3 -I\nfrom clinder.__main__ import main\nmain()\n' > /usr/local/bin/clinder \
    && chmod +x /usr/local/bin/clinder
COPY entrypoint.py post_entrypoint.py /
COPY image/collect.py /tmp/collect.py
RUN python3 /tmp/collect.py /only && cp -p /entrypoint.py /post_entrypoint.py /only/

# What runs, and nothing else: no shell, no pip, no package manager.
FROM scratch

LABEL org.opencontainers.image.title="clinder" \
      org.opencontainers.image.description="Start a Jupyter Server on a BinderHub, hand over its URL and token, and shut it down again." \
      org.opencontainers.image.source="https://github.com/org/clinder" \
      org.opencontainers.image.licenses="BSD-3-Clause"

COPY --from=complete /only /
ENV PATH=/usr/local/bin:/usr/bin:/bin HOME=/root

# A runner mounts its files for root, so it is root that reads and writes them.
ENTRYPOINT ["clinder"]
CMD ["--help"]
