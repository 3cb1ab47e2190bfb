"""News that apps above send and apps below hear."""

from django.dispatch import Signal

operator_acted = Signal()
"""What an operator did by hand in the admin, in the transaction of it: sender is the model; `actor`, `deed` (a Deed of
common.admin), `row` (none where a list was exported), and `before` and `after`, the values concerned as JSON without
secrets."""
