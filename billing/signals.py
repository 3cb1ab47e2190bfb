"""Signals for the apps above."""

from django.dispatch import Signal

wallet_credited = Signal()
"""Sent inside the transaction that brings money into a wallet, with `wallet` and `entry`: what waited for money may
go on."""

plan_changed = Signal()
"""Sent inside the transaction that changes a membership plan, with `plan` as it is now and `before` as it was."""
