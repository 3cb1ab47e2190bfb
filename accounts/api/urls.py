from django.urls import path
from rest_framework.routers import SimpleRouter

from accounts.api.views import auth, profile, teams

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("teams", teams.TeamViewSet, basename="team")
router.register("team-invitations", teams.ReceivedInvitationViewSet, basename="team-invitation")

urlpatterns = [
    *router.urls,
    path("auth/send-code", auth.SendCodeView.as_view()),
    path("auth/register", auth.RegisterView.as_view()),
    path("auth/login", auth.LoginView.as_view()),
    path("auth/refresh", auth.RefreshView.as_view()),
    path("auth/logout", auth.LogoutView.as_view()),
    path("auth/me", profile.MeView.as_view()),
    path("auth/ws-ticket", auth.WsTicketView.as_view()),
    path("users/me", profile.MeView.as_view()),
]
