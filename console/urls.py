"""Every address of the console. Each floor below has its own; what's named here belongs to none of them."""

from allauth.account import urls as account_urls
from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path

from console import errors, views, webhooks

# Before `admin.site.urls` is read, else it has no effect and says so nowhere.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

# An address is changed on the settings page, and nobody signs up: the rest of allauth's pages has no use here.
ACCOUNT_PAGES = {
    "account_login",
    "account_logout",
    "account_signup",
    "account_inactive",
    "account_reauthenticate",
    "account_change_password",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key",
    "account_reset_password_from_key_done",
}

urlpatterns = [
    path("", views.overview, name="overview"),
    path("certificates/<str:instance_id>/", views.details, name="details"),
    path("settings/", views.settings, name="settings"),
    path("settings/email/", views.change_email, name="change_email"),
    path("settings/email/withdraw/", views.withdraw_email, name="withdraw_email"),
    path("", include("core.urls")),
    path("", include("certificates.urls")),
    path("ca/", include("certificates.ca_urls")),
    path("", include("refunds.urls")),
    path("", include("payments.urls")),
    path("webhooks/stripe/", webhooks.stripe, name="stripe_webhook"),
    path("webhooks/alipay/", webhooks.alipay, name="alipay_webhook"),
    path("accounts/", include([page for page in account_urls.urlpatterns if page.name in ACCOUNT_PAGES])),
    path("admin/", admin.site.urls),
]

handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.page_not_found
handler429 = errors.too_many_requests  # asked for by allauth
handler500 = errors.server_error
