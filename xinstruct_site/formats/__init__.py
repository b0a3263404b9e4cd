"""How dates look where Django's own choice would mislead: 11/12/2026 is another day in most of the world."""
