"""What accounts does about signals of its own rows."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Model
from django.db.models.signals import post_save
from django.dispatch import receiver

from accounts.models import AuditEvent, User
from accounts.models.users import users_updated
from accounts.services import audit, auth_cache, invitations
from accounts.signals import phone_bound, user_registered
from common.admin import Deed
from common.signals import operator_acted

DEEDS = {
    Deed.ADDED: AuditEvent.Action.ADMIN_ADDED,
    Deed.CHANGED: AuditEvent.Action.ADMIN_CHANGED,
    Deed.DELETED: AuditEvent.Action.ADMIN_DELETED,
    Deed.RAN: AuditEvent.Action.ADMIN_RAN,
    Deed.EXPORTED: AuditEvent.Action.ADMIN_EXPORTED,
}


@receiver(post_save, sender=User)
def equip_new_user(sender: Any, instance: User, created: bool, raw: bool = False, **kwargs: Any) -> None:
    """Create what every user has, however the user came to be; also by `createsuperuser`."""
    if created and not raw:
        user_registered.send(sender=User, user=instance)


@receiver(user_registered)
@receiver(phone_bound)
def tell_of_invitations(sender: Any, user: User, **kwargs: Any) -> None:
    """A team may have invited a phone before somebody here had it."""
    invitations.tell_waiting(user)


@receiver(post_save, sender=User)
def forget_saved(sender: Any, instance: User, **kwargs: Any) -> None:
    auth_cache.forget([instance.pk])


@receiver(users_updated)
def forget_updated(sender: Any, ids: Iterable[UUID], **kwargs: Any) -> None:
    auth_cache.forget(ids)


@receiver(operator_acted)
def record_operator(
    sender: Any,
    actor: User,
    deed: Deed,
    row: Model | None,
    before: dict[str, Any],
    after: dict[str, Any],
    **kwargs: Any,
) -> None:
    """Record what operators do by hand in the admin of any app; owners see what concerns their rows."""
    owner = row if isinstance(row, User) else getattr(row, "user", None)
    # An action calls services, and they tell the owner in their own words.
    concerned = owner if isinstance(owner, User) and deed != Deed.RAN else None
    audit.record(DEEDS[deed], user=concerned, actor=actor, target=row, before=before, after=after)
