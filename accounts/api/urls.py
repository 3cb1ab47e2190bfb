from django.urls import path
from rest_framework.routers import SimpleRouter

from accounts.api.views import auth, devices, notifications, profile, security, sessions, teams, wechat

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("teams", teams.TeamViewSet, basename="team")
router.register("team-invitations", teams.ReceivedInvitationViewSet, basename="team-invitation")
router.register("notifications", notifications.NotificationViewSet, basename="notification")
router.register("auth/sessions", sessions.SessionViewSet, basename="session")

urlpatterns = [
    *router.urls,
    path("auth/send-code", auth.SendCodeView.as_view()),
    path("auth/register", auth.RegisterView.as_view()),
    path("auth/login", auth.LoginView.as_view()),
    path("auth/login-phone", auth.LoginPhoneView.as_view()),
    path("auth/change-password", auth.ChangePasswordView.as_view()),
    path("auth/reset-password", auth.ResetPasswordView.as_view()),
    path("auth/refresh", auth.RefreshView.as_view()),
    path("auth/logout", auth.LogoutView.as_view()),
    path("auth/me", profile.MeView.as_view()),
    path("auth/device", devices.DeviceSignInView.as_view()),
    path("auth/wechat-login", wechat.DesktopSignInView.as_view()),
    path("auth/ws-ticket", auth.WsTicketView.as_view()),
    path("users/me", profile.ProfileView.as_view()),
    path("users/profile", profile.ProfileView.as_view()),
    path("users/me/avatar", profile.AvatarView.as_view()),
    path("users/me/email/send-link", profile.EmailLinkView.as_view()),
    path("users/me/email/verify", profile.EmailVerificationView.as_view()),
    path("users/me/deletion", profile.DeletionView.as_view()),
    path("users/me/security-log", security.SecurityLogViewSet.as_view({"get": "list"})),
    path("users/me/phone", devices.PhoneView.as_view()),
    path("users/me/devices", devices.DeviceViewSet.as_view({"get": "list"})),
    path("users/me/devices/<uuid:pk>", devices.DeviceViewSet.as_view({"delete": "destroy"})),
    path("users/me/app-passwords", devices.AppPasswordViewSet.as_view({"get": "list", "post": "create"})),
    path("users/me/app-passwords/<uuid:pk>", devices.AppPasswordViewSet.as_view({"delete": "destroy"})),
    path("wechat/qrcode", wechat.QrCodeView.as_view()),
    path("wechat/poll/<str:poll_id>", wechat.PollView.as_view()),
    path("wechat/callback", wechat.CallbackView.as_view(), name="wechat-callback"),
    path("wechat/bind-phone", wechat.BindPhoneView.as_view()),
    path("wechat/link-account", wechat.LinkAccountView.as_view()),
    path("wechat/bind", wechat.BindView.as_view()),
    path("wechat/unbind", wechat.UnbindView.as_view()),
]
