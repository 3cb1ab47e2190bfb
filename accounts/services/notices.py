"""Notices to many users at once: stored batch by batch, and pushed to those who are online."""

from django.db import transaction
from django.utils import timezone

from accounts import messages
from accounts.models import Notice, Notification, User
from accounts.services.notifications import push

BATCH = 2000


def announce(*, notice: Notice, actor: User) -> Notice:
    """Store a notice and have it sent. Texts are shown as they are."""
    notice.actor = actor
    notice.save()
    messages.send_on_commit("send_notices")
    return notice


def send_batch() -> bool:
    """Send the oldest unfinished notice to its next BATCH users; whether there is more to do.

    Notifications and how far it came are one transaction: begun anew after a crash, or by two workers at once, it
    reaches everybody once. Users who come later than the notice are not told.
    """
    with transaction.atomic():
        unfinished = Notice.objects.select_for_update(skip_locked=True).filter(finished_at__isnull=True)
        notice = unfinished.order_by("pk").first()
        if notice is None:
            return False
        users = User.objects.filter(is_active=True, created_at__lte=notice.created_at).order_by("pk")
        if notice.member_level is not None:
            users = users.filter(member_level=notice.member_level)
        if notice.last_user_id:
            users = users.filter(pk__gt=notice.last_user_id)
        batch = list(users.only("pk")[:BATCH])
        stored = Notification.objects.bulk_create(
            [
                Notification(user=user, title=notice.title, message=notice.message, level=notice.level)
                for user in batch
            ]
        )
        for notification in stored:
            push(notification)
        if batch:
            notice.last_user_id = batch[-1].pk
            notice.sent_count += len(batch)
        if len(batch) < BATCH:
            notice.finished_at = timezone.now()
        notice.save()
    return True
