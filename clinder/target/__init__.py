"""Find out what to launch and where, from CI's variables, the project's myst.yml and the git checkout.

`clinder.target.target` puts the parts together. `ci`, `myst` and `checkout` each read one source and do not know each
other. `environment` reads the history in a checkout. Nothing that is read here can be trusted, so all of it has a bound
in size.
"""
