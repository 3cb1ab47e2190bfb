"""Devices that sign in by themselves, at first as guests."""

import secrets
from dataclasses import dataclass, field

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.errors import WrongCredentials
from accounts.models import Device, User
from accounts.services import sessions
from accounts.services.registration import save_new_user
from accounts.services.tokens import TokenPack
from common import limits
from common.ids import digest, new_id


@dataclass(frozen=True)
class DeviceSignIn:
    """`secret` is set only at the first sign-in; nobody can tell it again."""

    user: User
    pack: TokenPack = field(repr=False)
    device_id: str
    secret: str = field(repr=False)


def sign_in(*, device_id: str, secret: str, name: str, agent: str, ip: str) -> DeviceSignIn:
    """Sign a device in by its secret; one without a secret is new, and gets a guest of its own.

    Raises WrongCredentials (wrong or missing secret, unknown, revoked, blocked), RateLimited.
    """
    limits.take(("device-sign-in", ip, settings.DEVICE_LIMITS["sign_in"]))
    if not secret:
        return register(device_id=device_id or str(new_id()), name=name, agent=agent, ip=ip)
    known = Device.objects.filter(device_id=device_id, secret_hash=digest(secret))
    device = known.select_related("user").first()
    if device is None:
        raise WrongCredentials
    return open_session(device, secret="", agent=agent, ip=ip, name=name or device.name)


def register(*, device_id: str, name: str, agent: str, ip: str) -> DeviceSignIn:
    """A new device with a secret and a guest. Raises WrongCredentials where the id has a secret already."""
    if Device.objects.filter(device_id=device_id).exists():
        raise WrongCredentials
    limits.take(("device-new", ip, settings.DEVICE_LIMITS["new"]))
    secret = secrets.token_urlsafe(32)
    user = User(username=f"dev_{secrets.token_hex(6)}", is_guest=True)
    user.set_unusable_password()
    try:
        with transaction.atomic():
            save_new_user(user=user)
            device = Device.objects.create(
                user=user,
                device_id=device_id,
                secret_hash=digest(secret),
                name=name,
                last_seen_at=timezone.now(),
            )
    except IntegrityError as error:
        # Two first uses of one id at once: the other one has the secret.
        raise WrongCredentials from error
    return open_session(device, secret=secret, agent=agent, ip=ip)


def open_session(device: Device, *, secret: str, agent: str, ip: str, **changes: object) -> DeviceSignIn:
    """Raises WrongCredentials for a device that is revoked, or whose user is blocked."""
    now = timezone.now()
    with transaction.atomic():
        living = Device.objects.filter(pk=device.pk, revoked_at__isnull=True)
        # The row is locked by this: revoking it waits, and then ends this session too.
        if not living.update(last_seen_at=now, updated_at=now, **changes):
            raise WrongCredentials
        session, pack = sessions.open_session(user=device.user, device=device.name or agent, ip=ip)
        device.sessions.add(session)
    return DeviceSignIn(device.user, pack, device.device_id, secret)


def revoke(*, device: Device) -> None:
    """Do not let the device sign in any more, and end its sessions. Doing it twice is no error."""
    now = timezone.now()
    with transaction.atomic():
        living = Device.objects.filter(pk=device.pk, revoked_at__isnull=True)
        living.update(revoked_at=now, updated_at=now)
        sessions.end_sessions(device.sessions.all())
