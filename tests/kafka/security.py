"""The configuration of a broker with TLS, SASL and client certificates, and of a shop that uses it."""

import secrets
from pathlib import Path

from tests.certificates import AUTHORITY, Certificates


class Security:
    """Both sides of SASL_SSL.

    Attributes:
        password: of the user `shop`.
    """

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self.password, self._key_password = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        certificates.issue("broker")
        certificates.issue("shop", key_password=self._key_password)
        # Kafka reads its key and its certificate from one file.
        parts = [Path(certificates.path(name)).read_text() for name in ("broker.key", "broker.pem")]
        Path(certificates.path("broker-store.pem")).write_text("".join(parts))

    def environment(self, mechanism: str = "SCRAM-SHA-512", authority: str = AUTHORITY) -> dict[str, str]:
        """The settings of a shop with access to the broker."""
        path = self._certificates.path
        return {
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": mechanism,
            "KAFKA_SASL_USERNAME": "shop",
            "KAFKA_SASL_PASSWORD": self.password,
            "KAFKA_SSL_CA_LOCATION": path(authority),
            "KAFKA_SSL_CERTIFICATE_LOCATION": path("shop.pem"),
            "KAFKA_SSL_KEY_LOCATION": path("shop.key"),
            "KAFKA_SSL_KEY_PASSWORD": self._key_password,
        }

    def of_the_broker(self) -> str:
        """The broker's properties for a SASL_SSL listener that requires client certificates."""
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required"
        plain = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        login = f'username="shop" password="{self.password}"'
        return f"""\
listener.security.protocol.map=SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=SASL_SSL
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={scram} {login};
listener.name.sasl_ssl.plain.sasl.jaas.config={plain} {login} user_shop="{self.password}";
listener.name.sasl_ssl.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={self._certificates.path("broker-store.pem")}
ssl.truststore.type=PEM
ssl.truststore.location={self._certificates.path(AUTHORITY)}
"""
