"""moto's server, which then verifies signatures over what was sent.

moto 5.2.1 decodes path and query before it verifies: with authentication on, its answer to every
request that needs an escape (prefix=AWSLogs%2F of any client) is SignatureDoesNotMatch. Here its own
verification is given the request line as it came, and nothing else is touched.
"""

import os
import threading

from moto import server
from moto.iam.access_control import IAMRequestBase
from moto.iam.models import AccessKey

sent = threading.local()


def keep_what_was_sent(application):
    def call(self, environ, start):
        sent.line = environ["REQUEST_URI"]
        return application(self, environ, start)

    return call


def verify_what_was_sent(create):
    def call(self):
        self._path = sent.line
        return create(self)

    return call


def give_key(make):
    def call(self, *arguments, **options):
        make(self, *arguments, **options)
        if "MOTO_KEY_ID" in os.environ:
            self.access_key_id = os.environ["MOTO_KEY_ID"]
            self.secret_access_key = os.environ["MOTO_SECRET"]

    return call


dispatcher = server.DomainDispatcherApplication
dispatcher.__call__ = keep_what_was_sent(dispatcher.__call__)
AccessKey.__init__ = give_key(AccessKey.__init__)
IAMRequestBase._create_aws_request = verify_what_was_sent(IAMRequestBase._create_aws_request)

if __name__ == "__main__":
    server.main()
