"""BinderHub's configuration: no Kubernetes, no Docker, no GitHub, and all of BinderHub's own code between them.

`gh/org/repo/<any ref>` resolves, `no-such-ref` excepted. Images exist, except those of `org/slow-...`, which are built
each time, and of `org/built-...`, which are built once.
"""

# mypy: disable-error-code="import-not-found,import-untyped"
# mypy: allow-subclassing-any
from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import binderhub.builder
import docker
import docker.errors
from binderhub.build import FakeBuild
from binderhub.repoproviders import GitHubRepoProvider, GitLabRepoProvider

c: Any = globals()["c"]  # traitlets puts it there
settings = json.loads(Path("harness.json").read_text())

BUILD_LINES = 30
BUILD_PACE = 0.1  # seconds between two lines of a build's log


class Offline:
    """A host, as far as it can be known without asking: a commit is itself, another ref stands for some commit."""

    async def get_resolved_ref(self) -> str | None:
        ref: str = self.unresolved_ref  # type: ignore[attr-defined]
        if ref == "no-such-ref":
            return None
        if re.fullmatch("[0-9a-f]{40}", ref):
            return ref
        return hashlib.sha1(self.spec.encode()).hexdigest()  # type: ignore[attr-defined]


class OfflineGitHub(Offline, GitHubRepoProvider):
    pass


class OfflineGitLab(Offline, GitLabRepoProvider):
    pass


class PacedBuild(FakeBuild):
    """BinderHub's build without a cluster.

    Its own log takes eight seconds, and it never says that the build's pod is gone: the handler would wait for that
    forever, and launch nothing.
    """

    def stream_logs(self) -> None:
        for number in range(1, BUILD_LINES + 1):
            if self.stop_event.wait(BUILD_PACE):
                return
            phase = "fetching" if number == 1 else "building"
            self.progress("log", json.dumps({"phase": phase, "message": f"Step {number}/{BUILD_LINES}\n"}))
        Images.built.add(self.image_name)
        self.progress("pod.phasechange", "Deleted")


class Images:
    """A Docker engine's images, by the names that BinderHub gives them: `org-2drepo-<hash>:<commit>`."""

    built: ClassVar[set[str]] = set()

    def get(self, name: str) -> None:
        if name.startswith("org-2dslow-2d") or (name.startswith("org-2dbuilt-2d") and name not in self.built):
            raise docker.errors.ImageNotFound(name)


# Without a registry BinderHub asks Docker for an image, and makes the client itself: it can't be configured.
docker.from_env = lambda **_: SimpleNamespace(images=Images())
binderhub.builder.FakeBuild = PacedBuild

c.BinderHub.hub_url = settings["jupyterhub_url"]
c.BinderHub.hub_api_token = os.environ["JUPYTERHUB_API_TOKEN"]
c.BinderHub.repo_providers = {"gh": OfflineGitHub, "gl": OfflineGitLab}
c.BinderHub.auth_enabled = settings["login"]
c.HubOAuth.hub_host = settings["jupyterhub_url"].removesuffix("/jupyter/")  # its login page, seen from another port
c.Launcher.retries = 1 if settings["login"] else 4  # else it tries for half a minute what a user may not have
c.BinderHub.use_registry = False
c.BinderHub.builder_required = False
c.BinderHub.tornado_settings = {
    "fake_build": True,
    # Before it launches, BinderHub counts the pods that run the same repository, even where no quota is set.
    "kubernetes_client": SimpleNamespace(list_namespaced_pod=lambda *_, **__: SimpleNamespace(items=[])),
}
