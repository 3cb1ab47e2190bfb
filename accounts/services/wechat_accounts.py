"""The user that a WeChat person is. One person is one user, and one user is one person."""

from django.db import connection, transaction
from django.db.models import Q

from accounts.errors import LastSignInMethod, WechatAlreadyBound, WechatNotBound, WechatTaken
from accounts.models import AuditEvent, SocialAccount, User
from accounts.services.audit import record
from accounts.wechat.client import WechatPerson

WECHAT = SocialAccount.Provider.WECHAT


def lock_person(person: WechatPerson) -> None:
    """Let others who ask about the same person wait for this transaction's end. Taken before any row's lock.

    A unique openid holds within one application; across two only the unionid says that it is the same person, and
    it stands in several rows.
    """
    name = f"wechat:{person.unionid or f'{person.appid}:{person.openid}'}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


def account_of(person: WechatPerson) -> SocialAccount | None:
    """The account of `person`, with its user: found by unionid, or else by the application's openid."""
    known = SocialAccount.objects.filter(provider=WECHAT).select_related("user").order_by("created_at", "pk")
    by_unionid = known.filter(unionid=person.unionid).first() if person.unionid else None
    return by_unionid or known.filter(appid=person.appid, openid=person.openid).first()


def remember(user: User, person: WechatPerson) -> None:
    """Write down what WeChat says of a user's person now: the openid of this application, unionid, name, picture."""
    shown = {"nickname": person.nickname, "avatar_url": person.avatar_url}
    known = SocialAccount.objects.filter(provider=WECHAT)
    mine = known.filter(user=user)
    mine.update(**shown)
    if known.filter(appid=person.appid, openid=person.openid).exclude(user=user).exists():
        # Two users from before WeChat told us the unionid: the one who has it stays the person.
        return
    row, created = mine.get_or_create(
        provider=WECHAT,
        appid=person.appid,
        defaults={"user": user, "openid": person.openid, "unionid": person.unionid, **shown},
    )
    if not created and person.unionid and not row.unionid:
        mine.filter(pk=row.pk).update(unionid=person.unionid)


def attach(user: User, person: WechatPerson) -> None:
    """Link `person` to `user`, within a transaction that holds `lock_person`.

    Raises WechatTaken where the person is another user, WechatAlreadyBound where the user is another person.
    """
    # Two persons who are linked to one user at once hold different locks; this one they share.
    User.objects.select_for_update(of=("self",)).get(pk=user.pk)
    known = account_of(person)
    if known is not None and known.user_id != user.pk:
        raise WechatTaken
    same = Q(appid=person.appid, openid=person.openid)
    if person.unionid:
        same |= Q(unionid=person.unionid)
    mine = SocialAccount.objects.filter(user=user, provider=WECHAT)
    if known is None and mine.exclude(same).exists():
        raise WechatAlreadyBound
    remember(user, person)
    if known is None:
        record(
            AuditEvent.Action.WECHAT_BOUND,
            user=user,
            actor=user,
            target=user,
            after={"nickname": person.nickname},
        )


def bind(*, user: User, person: WechatPerson) -> None:
    """Link the person who has just confirmed to the signed-in user. Raises WechatTaken, WechatAlreadyBound."""
    with transaction.atomic():
        lock_person(person)
        attach(user, person)


def unbind(*, user: User) -> None:
    """Forget the user's WeChat. Raises WechatNotBound; LastSignInMethod where nothing else would let them in."""
    with transaction.atomic():
        locked = User.objects.select_for_update(of=("self",)).get(pk=user.pk)
        mine = SocialAccount.objects.filter(user=user, provider=WECHAT)
        nickname = mine.values_list("nickname", flat=True).first()
        if nickname is None:
            raise WechatNotBound
        if not locked.phone and not locked.has_usable_password():
            raise LastSignInMethod
        mine.delete()
        record(
            AuditEvent.Action.WECHAT_UNBOUND,
            user=user,
            actor=user,
            target=user,
            before={"nickname": nickname},
        )
