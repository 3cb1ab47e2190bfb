"""The plan that applies to an owner: that of the member level; for a team the highest of its owners'."""

from django.db.models import Max

from accounts.models import Team, TeamMember, User
from billing.errors import PriorityTooHigh
from billing.models import MembershipPlan


def plan_of(owner: User | Team) -> MembershipPlan:
    """The plan by which `owner` is served: discount, storage, frames at once, highest priority."""
    if isinstance(owner, User):
        return MembershipPlan.objects.get(level=owner.member_level)
    owners = TeamMember.objects.filter(team=owner, role=TeamMember.Role.OWNER, user__is_active=True)
    level = owners.aggregate(level=Max("user__member_level"))["level"]
    return MembershipPlan.objects.get(level=level or MembershipPlan.Level.FREE)


def require_priority(owner: User | Team, priority: int) -> None:
    """Raises PriorityTooHigh where the plan of who pays does not allow it."""
    highest = plan_of(owner).max_priority
    if priority > highest:
        raise PriorityTooHigh(highest=highest)
