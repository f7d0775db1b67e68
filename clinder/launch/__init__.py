"""The parts of a launch. Only `clinder.hub` imports from this package."""
