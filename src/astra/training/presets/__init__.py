"""Presets: TOML files with values for the options of `train sft` and `train rl` that go together.

`paper-14b` and `paper-32b` hold the settings of the ASTRA paper; the others fit a machine. A preset
only sets what can be set option by option: what is typed wins. A file of one's own works alike.
"""
