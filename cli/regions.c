#include "cli/regions.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cli/hint.h"

// A newer one is warned of, and works.
static const char *const aws_regions[] = {
    "af-south-1",     "ap-east-1",      "ap-east-2",      "ap-northeast-1",  "ap-northeast-2",
    "ap-northeast-3", "ap-south-1",     "ap-south-2",     "ap-southeast-1",  "ap-southeast-2",
    "ap-southeast-3", "ap-southeast-4", "ap-southeast-5", "ap-southeast-6",  "ap-southeast-7",
    "ca-central-1",   "ca-west-1",      "cn-north-1",     "cn-northwest-1",  "eu-central-1",
    "eu-central-2",   "eu-isoe-west-1", "eu-north-1",     "eu-south-1",      "eu-south-2",
    "eu-west-1",      "eu-west-2",      "eu-west-3",      "eusc-de-east-1",  "il-central-1",
    "me-central-1",   "me-south-1",     "mx-central-1",   "sa-east-1",       "us-east-1",
    "us-east-2",      "us-gov-east-1",  "us-gov-west-1",  "us-iso-east-1",   "us-iso-west-1",
    "us-isob-east-1", "us-isob-west-1", "us-isof-east-1", "us-isof-south-1", "us-west-1",
    "us-west-2",
};

// The name most like the one that was given, of those looked at.
struct nearest {
    struct span wanted;
    const char *name;
    uint32_t distance;
};

static void look_at(struct nearest *nearest, const char *name) {
    uint32_t distance = hint_distance(nearest->wanted, name);
    if (distance >= nearest->distance) return;
    nearest->name = name;
    nearest->distance = distance;
}

void regions_warn(const struct settings *settings, const char *region) {
    struct nearest nearest = {.wanted = span_text(region), .distance = UINT32_MAX};
    for (size_t index = 0; index < sizeof aws_regions / sizeof aws_regions[0]; index++)
        look_at(&nearest, aws_regions[index]);
    if (settings != NULL && settings->organization.home_region != NULL)
        look_at(&nearest, settings->organization.home_region);
    unsigned accounts_count = settings != NULL ? settings->roster.accounts_count : 0;
    for (unsigned index = 0; index < accounts_count; index++) {
        const struct settings_account *account = &settings->roster.accounts[index];
        for (unsigned at = 0; at < account->regions_count; at++)
            look_at(&nearest, account->regions[at]);
    }
    if (nearest.distance == 0) return;
    fprintf(stderr,
            "WARNING: region %s is none of AWS's that this version knows, and no account of the "
            "roster expects it; most like it is %s\n",
            region, nearest.name);
}
