"""The scripted user of a conversation: what they say to each message of an agent, by rules."""
