"""Rows of accounts."""

from accounts.models.audit import AuditEvent
from accounts.models.codes import PhoneCode
from accounts.models.devices import AppPassword, Device
from accounts.models.notifications import Notification
from accounts.models.sessions import Session
from accounts.models.teams import Team, TeamInvitation, TeamMember
from accounts.models.users import PHONE_PATTERN, USERNAME_PATTERN, User
from accounts.models.wechat import SocialAccount, WechatLoginSession

__all__ = [
    "PHONE_PATTERN",
    "USERNAME_PATTERN",
    "AppPassword",
    "AuditEvent",
    "Device",
    "Notification",
    "PhoneCode",
    "Session",
    "SocialAccount",
    "Team",
    "TeamInvitation",
    "TeamMember",
    "User",
    "WechatLoginSession",
]
