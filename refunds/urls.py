from django.urls import path

from refunds.pages import views

urlpatterns = [
    path("certificates/<str:instance_id>/refund/", views.request_refund, name="request_refund"),
    path("certificates/<str:instance_id>/refund/cancel/", views.cancel_refund, name="cancel_refund"),
    path("refund-policy/", views.refund_policy, name="refund_policy"),
    path("refunds/", views.refund_records, name="refund_records"),
    path("refunds/<str:reference>/", views.refund_record, name="refund_record"),
]
