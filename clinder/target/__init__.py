"""What to launch, and where, when it is not said: from CI's variables, the project's myst.yml, the git checkout.

`clinder.target.target` puts the parts together. `ci`, `myst` and `checkout` each know one source and nothing of each
other, `environment` knows the history in a checkout. Everything read here may be a stranger's: it has a bound in size.
"""
