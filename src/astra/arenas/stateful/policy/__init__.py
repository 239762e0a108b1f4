"""Service policies: rules are drawn over what tools can do, written out, and applied to rows."""
