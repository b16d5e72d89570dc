"""Where the counting strategy leaves its count; it runs in the process that measures."""

items = 0
