// version.h: the version of this release.

#pragma once

#define VERSION_TEXT "0.1.0"
