"""What a training takes of memory, time and money, before it is started: `astra train plan`."""
