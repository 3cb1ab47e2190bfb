"""News that apps further up send and apps further down receive."""

from django.dispatch import Signal

operator_acted = Signal()
"""An operator's deed in the admin, sent inside its transaction. The sender is the model. Arguments: `actor`, `deed`
(a Deed of common.admin), `row` (None where a list was exported), and `before` and `after`, the values concerned as
JSON without secrets.
"""
