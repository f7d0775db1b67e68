"""What to launch, and where, when it is not said. Nothing here asks the network."""
