"""How a launch goes. Only `clinder.hub` imports from here."""
