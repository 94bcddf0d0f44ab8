#!/bin/sh
# Prints the version that pathmap.h says, as 1.2.3.
sed -n 's/^#define PM_VERSION_\(MAJOR\|MINOR\|PATCH\) //p' "${1:-$(dirname "$0")/../pathmap.h}" | paste -s -d .
