"""What stands in a package's README.txt: which file is what, and the lines by which its server is told. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from django.utils.translation import gettext as _


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a package, by the beginning of their names."""

    stem: str
    path: Sequence[x509.Certificate]
    has_key: bool

    @property
    def domain(self) -> str:
        """The certificate's name as a server's configuration has it."""
        name = self.stem.rpartition("_")[0]
        return f"*{name[1:]}" if name.startswith("_.") else name

    @property
    def has_chain(self) -> bool:
        return len(self.path) > 1

    @property
    def key(self) -> str:
        return f"{self.stem}.key" if self.has_key else "your.key"


def instructions_for(package: str, files: Files) -> str:
    """The text, in the reader's language; lines end as Unix ends them."""
    parts = [*_WRITE[package](files), _about_key(files), _about_root()]
    return "\n\n".join(part for part in parts if part) + "\n"


def own_keystore_command(package: str, stem: str, extension: str) -> str:
    """How a keystore is made where the key is; `stem` begins the file names of the package for Nginx too."""
    # Windows before 2019 reads no other kind.
    old = " -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg SHA1" if package == "iis" else ""
    return f"openssl pkcs12 -export -inkey your.key -in {stem}_nginx.pem -name {stem}{old} -out {stem}.{extension}"


def _lines(*lines: str) -> str:
    return "\n".join(f"    {line}" for line in lines if line)


def _nginx(files: Files) -> list[str]:
    return [
        _(
            "Nginx reads the certificate with its chain from one file, and the key from another. Copy both to a folder "
            "that only the administrator can read, here /etc/nginx/tls, and name them in the server block:"
        ),
        _lines(
            "server {",
            "    listen 443 ssl;",
            f"    server_name {files.domain};",
            f"    ssl_certificate     /etc/nginx/tls/{files.stem}.pem;",
            f"    ssl_certificate_key /etc/nginx/tls/{files.key};",
            "}",
        ),
        _("Then check the configuration, and load it:"),
        _lines("nginx -t && nginx -s reload"),
    ]


def _apache(files: Files) -> list[str]:
    chain = f"    SSLCertificateChainFile /etc/apache2/tls/{files.stem}_chain.crt" if files.has_chain else ""
    return [
        _(
            "Apache reads the certificate, its chain and the key from a file each. Copy them to a folder that only the "
            "administrator can read, here /etc/apache2/tls, switch mod_ssl on, and name them in the virtual host:"
        ),
        _lines(
            "<VirtualHost *:443>",
            f"    ServerName {files.domain}",
            "    SSLEngine on",
            f"    SSLCertificateFile      /etc/apache2/tls/{files.stem}.crt",
            f"    SSLCertificateKeyFile   /etc/apache2/tls/{files.key}",
            chain,
            "</VirtualHost>",
        ),
        _("Then check the configuration, and load it:"),
        _lines("apachectl configtest && apachectl graceful"),
    ]


def _tomcat(files: Files) -> list[str]:
    return [
        _(
            "Tomcat reads certificate, chain and key from one keystore. Copy it into the folder conf, and name it in "
            "conf/server.xml (Tomcat 8.5 and later), with the password that you were shown:"
        ),
        _lines(
            '<Connector port="443" protocol="org.apache.coyote.http11.Http11NioProtocol" SSLEnabled="true">',
            "    <SSLHostConfig>",
            f'        <Certificate certificateKeystoreFile="conf/{files.stem}.pfx"',
            '                     certificateKeystoreType="PKCS12"',
            '                     certificateKeystorePassword="..." />',
            "    </SSLHostConfig>",
            "</Connector>",
        ),
        _("Then start Tomcat again."),
        _about_java(),
    ]


def _java(files: Files) -> list[str]:
    return [
        _(
            "Java programs read certificate, chain and key from one keystore of the type PKCS12. Look into it with the "
            "password that you were shown:"
        ),
        _lines(f"keytool -list -v -storetype PKCS12 -keystore {files.stem}.p12"),
        _("A program of your own is told by these properties, unless its manual says otherwise:"),
        _lines(
            f"-Djavax.net.ssl.keyStore={files.stem}.p12",
            "-Djavax.net.ssl.keyStoreType=PKCS12",
            "-Djavax.net.ssl.keyStorePassword=...",
        ),
        _about_java(),
    ]


def _iis(files: Files) -> list[str]:
    return [
        _(
            "IIS takes certificate, chain and key from the store of the computer. Import the file there, in PowerShell "
            "as administrator; it asks for the password that you were shown:"
        ),
        _lines(
            f"Import-PfxCertificate -FilePath .\\{files.stem}.pfx -CertStoreLocation Cert:\\LocalMachine\\My `",
            '    -Password (Read-Host "Password" -AsSecureString)',
        ),
        _("Then choose it in the IIS Manager: the site, Bindings, https, SSL certificate. Delete the file afterwards."),
    ]


def _other(files: Files) -> list[str]:
    told = [
        _("%(file)s: the certificate alone") % {"file": f"{files.stem}.pem"},
        _("%(file)s: its chain, the issuer first") % {"file": f"{files.stem}_chain.pem"} if files.has_chain else "",
        _("%(file)s: the certificate followed by its chain") % {"file": f"{files.stem}_fullchain.pem"},
        _("%(file)s: the private key") % {"file": f"{files.stem}.key"} if files.has_key else "",
    ]
    return [_("Everything here is PEM, for whatever reads it:"), _lines(*told)]


_WRITE = {
    "nginx": _nginx,
    "apache": _apache,
    "tomcat": _tomcat,
    "java": _java,
    "iis": _iis,
    "other": _other,
}


def _about_java() -> str:
    return _("Java reads this keystore from 8u301, 11.0.12 and 17 on; bring an older one up to date first.")


def _about_key(files: Files) -> str:
    if files.has_key:
        return _(
            "The private key in this package proves who you are: whoever has it can pass for your server. Do not "
            "send it by mail, and delete this package once it is installed."
        )
    return _(
        "The private key is not in this package: it never left the machine on which you made the CSR. your.key "
        "stands for it."
    )


def _about_root() -> str:
    return _(
        "The root is not in this package, as servers do not send it. Where a client does not know it yet, "
        "download it as a package of its own."
    )
