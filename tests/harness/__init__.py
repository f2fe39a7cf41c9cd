"""What the test programs share: starting a server, talking to it, telling how it went."""
