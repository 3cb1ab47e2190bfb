"""Operators among themselves: nobody takes rights, or the account of a colleague who has them."""

from functools import partial

import pytest
from django.contrib.auth.models import Group, Permission

from accounts.models import Session, User
from accounts.permissions import StaffGroup
from tests.accounts.staff import act, form_of, office_of, operator, page, rights_of
from tests.factories import make_user, token_of

pytestmark = pytest.mark.django_db


user_form = partial(form_of, is_staff="on")


@pytest.mark.parametrize("group", ["support", "finance", "farm", "auditor"])
def test_nobody_gives_rights(group: str) -> None:
    me = operator(group)
    office, target = office_of(me), make_user()
    superusers = Group.objects.get(name="superuser")
    before = {name: rights_of(name) for name in StaffGroup.values}
    for user in (me, target):
        form = user_form(user, groups=[superusers.pk], is_superuser="on")
        assert office.post(page(User, "change", user.pk), form).status_code == 403
        new = {"password1": "Red-lantern-43", "password2": "Red-lantern-43"}
        assert office.post(f"/admin/accounts/user/{user.pk}/password/", new).status_code == 403
    assert office.post(page(Group, "add"), {"name": "mine"}).status_code == 403
    assert office.post(page(Group, "change", superusers.pk), {"name": "superuser"}).status_code == 403
    assert office.post(page(Group, "delete", superusers.pk), {"post": "yes"}).status_code == 403
    target.refresh_from_db()
    assert not target.is_staff
    assert list(me.groups.values_list("name", flat=True)) == [group]
    assert {name: rights_of(name) for name in Group.objects.values_list("name", flat=True)} == before


def test_support_does_not_lock_operators_out() -> None:
    office, colleague = office_of(operator("support")), operator("finance")
    boss = User.objects.create_superuser("boss")
    for target in (colleague, boss):
        token_of(target)
        act(office, "end_sessions", target)
        act(office, "block", target)
        target.refresh_from_db()
        assert target.is_active
        assert Session.objects.filter(user=target, revoked_at__isnull=True).exists()


def test_who_may_change_accounts_does_not_change_operators() -> None:
    """A new password for a colleague would be the colleague's rights."""
    clerk = make_user(username="clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user"]))
    office, colleague, target = office_of(clerk), operator("finance"), make_user()
    hash_before = User.objects.get(pk=colleague.pk).password
    new = {"password1": "Red-lantern-43", "password2": "Red-lantern-43", "usable_password": "true"}
    for user in (clerk, colleague):
        assert (
            office.post(page(User, "change", user.pk), user_form(user, username="taken")).status_code == 403
        )
        assert office.post(f"/admin/accounts/user/{user.pk}/password/", new).status_code == 403
    assert User.objects.get(pk=colleague.pk).password == hash_before

    form = user_form(
        target, member_level=2, groups=[Group.objects.get(name="superuser").pk], is_superuser="on"
    )
    assert office.post(page(User, "change", target.pk), form).status_code == 302
    target.refresh_from_db()
    assert (target.member_level, target.is_staff, target.is_superuser) == (2, False, False)
    assert not target.groups.exists()


def test_the_group_of_superusers_gives_rights_but_not_the_flag() -> None:
    me, target = operator("superuser"), make_user()
    office = office_of(me)
    support = Group.objects.get(name="support")
    for user in (target, me):
        form = user_form(user, groups=[support.pk], is_superuser="on")
        assert office.post(page(User, "change", user.pk), form).status_code == 302
        user.refresh_from_db()
        assert (user.is_staff, user.is_superuser) == (True, False)
        assert list(user.groups.all()) == [support]


def test_superusers_are_changed_by_superusers_alone() -> None:
    boss = User.objects.create_superuser("boss")
    office = office_of(operator("superuser"))
    assert office.post(page(User, "change", boss.pk), user_form(boss, username="mine")).status_code == 403
    act(office, "block", boss)
    boss.refresh_from_db()
    assert (boss.username, boss.is_active, boss.is_superuser) == ("boss", True, True)

    second = make_user()
    form = user_form(second, is_superuser="on")
    assert office_of(boss).post(page(User, "change", second.pk), form).status_code == 302
    second.refresh_from_db()
    assert second.is_superuser
