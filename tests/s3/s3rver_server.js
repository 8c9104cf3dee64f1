// s3rver with a key of the test's: some clients have one key for all they talk to.
//
// s3rver 3.7.1 looks into no folder below another one when a delimiter is given, so that it does not
// list a folder that holds only folders. Here what it lists without a delimiter is put together.
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

const Store = require(path.join(home, 'lib/stores/filesystem'));
const list = Store.prototype.listObjects;
Store.prototype.listObjects = async function (bucket, options) {
  if (!options.delimiter) return list.call(this, bucket, options);
  const all = await list.call(this, bucket, { ...options, delimiter: '', maxKeys: Infinity });
  const size = (options.prefix || '').length;
  const objects = [];
  const commonPrefixes = new Set();
  for (const object of all.objects) {
    const at = object.key.indexOf(options.delimiter, size);
    if (at >= 0) {
      commonPrefixes.add(object.key.slice(0, at + 1));
    } else if (objects.length === options.maxKeys) {
      return { objects, commonPrefixes: [...commonPrefixes], isTruncated: true };
    } else {
      objects.push(object);
    }
  }
  return { objects, commonPrefixes: [...commonPrefixes], isTruncated: false };
};

require(path.join(home, 'bin/s3rver.js'));
