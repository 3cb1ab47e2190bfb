from django.urls import path

from billing.api import invoices, membership_views, order_views, statement_views, views, vouchers

entries = views.TransactionViewSet.as_view({"get": "list"})
bills = views.BillViewSet.as_view({"get": "list"})

urlpatterns = [
    path("users/balance", views.BalanceView.as_view()),
    path("users/transactions", entries),
    path("users/bills", bills),
    path("users/recharge", order_views.RechargeView.as_view()),
    path("billing/balance", views.BalanceView.as_view()),
    path("billing/wallets", views.WalletViewSet.as_view({"get": "list"})),
    path("billing/wallets/<uuid:pk>", views.WalletViewSet.as_view({"get": "retrieve"})),
    path("billing/transactions", entries),
    path("billing/transactions/export", views.TransactionViewSet.as_view({"get": "export"})),
    path("billing/bills", bills),
    path("billing/bills/<uuid:pk>", views.OneBillViewSet.as_view({"get": "retrieve"})),
    path("billing/holds", views.HoldViewSet.as_view({"get": "list"})),
    path("billing/gifts", views.GiftViewSet.as_view({"get": "list"})),
    path("billing/statements", statement_views.StatementViewSet.as_view({"get": "list"})),
    path("billing/statements/<uuid:pk>", statement_views.OneStatementViewSet.as_view({"get": "retrieve"})),
    path("billing/statements/<uuid:pk>/csv", statement_views.OneStatementViewSet.as_view({"get": "csv"})),
    path("billing/statements/<uuid:pk>/pdf", statement_views.OneStatementViewSet.as_view({"get": "pdf"})),
    path("billing/invoices", invoices.InvoiceViewSet.as_view({"get": "list", "post": "create"})),
    path("billing/invoices/available", invoices.InvoiceableView.as_view()),
    path("billing/invoices/<uuid:pk>", invoices.OneInvoiceViewSet.as_view({"get": "retrieve"})),
    path("billing/invoices/<uuid:pk>/cancel", invoices.OneInvoiceViewSet.as_view({"post": "cancel"})),
    path("billing/invoices/<uuid:pk>/pdf", invoices.OneInvoiceViewSet.as_view({"get": "pdf"})),
    path("billing/spending", views.SpendingView.as_view()),
    # As the desktop client asks for them.
    path("user/recharge", order_views.DesktopRechargeView.as_view()),
    path("user/upgrade", membership_views.DesktopUpgradeView.as_view()),
    path("user/transactions", views.PagedTransactionViewSet.as_view({"get": "list"})),
    path("user/bills", views.PagedBillViewSet.as_view({"get": "list"})),
    path("billing/records", views.RecordViewSet.as_view({"get": "list"})),
    path("billing/channels", order_views.ChannelsView.as_view()),
    path("billing/recharges", order_views.RechargeViewSet.as_view({"get": "list", "post": "create"})),
    path("billing/recharges/<uuid:pk>", order_views.RechargeViewSet.as_view({"get": "retrieve"})),
    path("billing/recharges/<uuid:pk>/cancel", order_views.RechargeViewSet.as_view({"post": "cancel"})),
    path("billing/notify/wechat", order_views.WechatNoticeView.as_view()),
    path("billing/notify/alipay", order_views.AlipayNoticeView.as_view()),
    path("billing/vouchers", vouchers.VoucherViewSet.as_view({"get": "list"})),
    path("billing/vouchers/redeem", vouchers.VoucherViewSet.as_view({"post": "redeem"})),
    path("billing/prices", membership_views.PricesView.as_view()),
    path("billing/plans", membership_views.PlansView.as_view()),
    path("billing/membership", membership_views.MembershipView.as_view()),
    path("billing/membership/cancel", membership_views.CancelMembershipView.as_view()),
    path("billing/membership/resume", membership_views.ResumeMembershipView.as_view()),
    path("billing/teams/<uuid:team_id>/limits", membership_views.LimitsView.as_view()),
    path("billing/teams/<uuid:team_id>/limits/<uuid:user_id>", membership_views.LimitView.as_view()),
]
