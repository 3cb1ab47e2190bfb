from django.urls import path

from accounts.api.views import auth, profile

urlpatterns = [
    path("auth/send-code", auth.SendCodeView.as_view()),
    path("auth/register", auth.RegisterView.as_view()),
    path("auth/login", auth.LoginView.as_view()),
    path("auth/refresh", auth.RefreshView.as_view()),
    path("auth/logout", auth.LogoutView.as_view()),
    path("auth/me", profile.MeView.as_view()),
    path("auth/ws-ticket", auth.WsTicketView.as_view()),
    path("users/me", profile.MeView.as_view()),
]
