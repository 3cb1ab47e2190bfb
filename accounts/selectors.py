"""Reads that span the models of accounts."""

from accounts.models import SocialAccount, User


def wechat_of(user: User) -> SocialAccount | None:
    """The WeChat that is linked to the user, as it was linked first."""
    linked = SocialAccount.objects.filter(user=user, provider=SocialAccount.Provider.WECHAT)
    return linked.order_by("created_at", "pk").first()
