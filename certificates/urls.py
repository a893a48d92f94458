from django.urls import path

from certificates.views import applying, deleting, downloading, purchasing, revoking, uploading, verifying

ONE = "certificates/<str:instance_id>/"

urlpatterns = [
    path("purchase/", purchasing.purchase, name="purchase"),
    path("orders/<str:number>/", purchasing.order, name="order"),
    path("upload/", uploading.upload, name="upload"),
    path("deleted/", deleting.deleted, name="deleted"),
    path("revocations/<str:token>/", revoking.confirm_revocation, name="confirm_revocation"),
    path(f"{ONE}renew/", purchasing.renew, name="renew"),
    path(f"{ONE}apply/", applying.apply, name="apply"),
    path(f"{ONE}application/cancel/", applying.cancel_application, name="cancel_application"),
    path(f"{ONE}verify/", verifying.verify, name="verify"),
    path(f"{ONE}download/", downloading.download, name="download"),
    path(f"{ONE}download/<str:package>/", downloading.download_package, name="download_package"),
    path(f"{ONE}revoke/", revoking.revoke, name="revoke"),
    path(f"{ONE}revocation/", revoking.revocation, name="revocation"),
    path(f"{ONE}delete/", deleting.delete, name="delete"),
]
