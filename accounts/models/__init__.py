"""Rows of accounts."""

from accounts.models.audit import AuditEvent
from accounts.models.codes import PhoneCode
from accounts.models.devices import AppPassword, Device
from accounts.models.notifications import Notice, Notification
from accounts.models.second_factor import SecondFactor
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
    "Notice",
    "Notification",
    "PhoneCode",
    "SecondFactor",
    "Session",
    "SocialAccount",
    "Team",
    "TeamInvitation",
    "TeamMember",
    "User",
    "WechatLoginSession",
]
