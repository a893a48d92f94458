from django.urls import path

from core import views

urlpatterns = [
    path("email/confirm/<str:token>/", views.confirm_email, name="confirm_email"),
    path("email/restore/<str:token>/", views.restore_email, name="restore_email"),
]
