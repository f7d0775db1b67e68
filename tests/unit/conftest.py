"""What the unit tests share: how hypothesis looks for counterexamples."""

from hypothesis import settings

# No deadline: a slow machine proves nothing. No database: what one run found does not decide the next.
settings.register_profile("clinder", settings.default, deadline=None, max_examples=150, database=None)
settings.load_profile("clinder")
