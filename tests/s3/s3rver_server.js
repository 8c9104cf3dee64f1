// s3rver with a key of the test's: some clients have one key for all they talk to.
//
// NODE_MODULES is where it is installed; its own arguments follow.
'use strict';

const path = require('path');

const home = path.join(process.env.NODE_MODULES, 's3rver');
const account = require(path.join(home, 'lib/models/account'));

const { S3RVER_KEY_ID, S3RVER_SECRET } = process.env;
if (S3RVER_KEY_ID) {
  const dummy = account.DUMMY_ACCOUNT || account;
  dummy.createKeyPair(S3RVER_KEY_ID, S3RVER_SECRET);
}
require(path.join(home, 'bin/s3rver.js'));
