from django.urls import path

from billing.api import views

urlpatterns = [
    path("users/balance", views.BalanceView.as_view()),
    path("users/transactions", views.TransactionViewSet.as_view({"get": "list"})),
    path("users/bills", views.BillViewSet.as_view({"get": "list"})),
]
