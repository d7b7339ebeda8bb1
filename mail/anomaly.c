// SPDX-License-Identifier: Apache-2.0
#include "mail/anomaly.h"

enum weight { ODD, AMBIGUOUS, LIMIT };

static const struct {
    const char *name;
    enum weight weight;
    const char *sentence;
} table[ANOMALY_COUNT] = {
    [ANOMALY_HEADER_JUNK] = {"header-junk", ODD, "A header holds a line that is no field"},
    [ANOMALY_HEADER_SPACE] = {"header-space", ODD, "White space before the colon of a field"},
    [ANOMALY_HEADER_BLANKS] = {"header-blanks", ODD, "A header holds a line of blanks"},
    [ANOMALY_HEADER_OPEN] = {"header-open", ODD, "No empty line ends a header"},
    [ANOMALY_HEADER_CR] = {"header-cr", ODD, "A header holds a bare CR"},
    [ANOMALY_HEADER_NUL] = {"header-nul", AMBIGUOUS, "A header holds a NUL"},
    [ANOMALY_HEADER_LATE] = {"header-late", AMBIGUOUS, "MIME fields stand behind the empty line"},
    [ANOMALY_BODY_NUL] = {"body-nul", ODD, "The body holds a NUL"},
    [ANOMALY_BODY_BARE] = {"body-bare", ODD, "The body holds a bare CR or LF"},
    [ANOMALY_FIELD_REPEATED] = {"field-repeated", ODD, "A field that may occur once occurs twice"},
    [ANOMALY_FROM_REPEATED] = {"from-repeated", AMBIGUOUS, "Two From fields with other values"},
    [ANOMALY_TYPE_REPEATED] = {"type-repeated", AMBIGUOUS,
                               "Two Content-Type fields with other values"},
    [ANOMALY_TYPE_BROKEN] = {"type-broken", ODD, "Content-Type breaks its grammar"},
    [ANOMALY_TYPE_HIDDEN] = {"type-hidden", AMBIGUOUS,
                             "A multipart is declared where only some programs see it"},
    [ANOMALY_VERSION_MISSING] = {"version-missing", ODD, "MIME fields without MIME-Version"},
    [ANOMALY_BOUNDARY_REPEATED] = {"boundary-repeated", AMBIGUOUS,
                                   "Several boundaries to choose from"},
    [ANOMALY_BOUNDARY_MISSING] = {"boundary-missing", AMBIGUOUS,
                                  "A multipart with parts, but without a boundary"},
    [ANOMALY_BOUNDARY_UNUSED] = {"boundary-unused", ODD,
                                 "The boundary of a multipart does not occur"},
    [ANOMALY_BOUNDARY_FOREIGN] = {"boundary-foreign", AMBIGUOUS,
                                  "Parts between lines that are not the declared boundary"},
    [ANOMALY_BOUNDARY_PREFIX] = {"boundary-prefix", AMBIGUOUS,
                                 "Lines begin with a boundary and go on"},
    [ANOMALY_BOUNDARY_CROSSED] =
        {"boundary-crossed", AMBIGUOUS,
         "An outer boundary cuts an inner multipart that goes on behind it"},
    [ANOMALY_BOUNDARY_SHARED] = {"boundary-shared", AMBIGUOUS,
                                 "Inner and outer multipart have the same boundary"},
    [ANOMALY_CLOSE_MISSING] = {"close-missing", ODD, "A multipart is not closed"},
    [ANOMALY_PARTS_AFTER_CLOSE] = {"parts-after-close", AMBIGUOUS,
                                   "Parts stand behind the closing boundary"},
    [ANOMALY_PARTS_BEFORE_FIRST] = {"parts-before-first", AMBIGUOUS,
                                    "Parts stand before the first boundary"},
    [ANOMALY_PARTS_IN_LEAF] = {"parts-in-leaf", ODD,
                               "Something like parts inside a part that is no multipart"},
    [ANOMALY_ENCODING_REPEATED] = {"encoding-repeated", AMBIGUOUS,
                                   "Two Content-Transfer-Encoding fields with other values"},
    [ANOMALY_ENCODING_ODD] = {"encoding-odd", AMBIGUOUS,
                              "Content-Transfer-Encoding can be read in several ways"},
    [ANOMALY_ENCODING_UNKNOWN] = {"encoding-unknown", AMBIGUOUS,
                                  "An encoding that only some programs undo"},
    [ANOMALY_ENCODING_COMPOSITE] = {"encoding-composite", AMBIGUOUS,
                                    "A multipart or message that is itself encoded"},
    [ANOMALY_ENCODING_HIDDEN] = {"encoding-hidden", AMBIGUOUS,
                                 "An encoding is named where only some programs see it"},
    [ANOMALY_BASE64_JUNK] = {"base64-junk", ODD, "Base64 with foreign characters"},
    [ANOMALY_BASE64_PADDING] = {"base64-padding", AMBIGUOUS, "Base64 goes on after its padding"},
    [ANOMALY_BASE64_TRUNCATED] = {"base64-truncated", ODD, "Base64 ends in mid-group"},
    [ANOMALY_QP_BROKEN] = {"qp-broken", ODD, "Quoted-printable breaks its grammar"},
    [ANOMALY_QP_ATTACHED] = {"qp-attached", AMBIGUOUS,
                             "An attachment is in quoted-printable that breaks its grammar"},
    [ANOMALY_UU_BROKEN] = {"uu-broken", ODD, "Uuencode without its frame"},
    [ANOMALY_UU_INLINE] = {"uu-inline", ODD, "Uuencoded data within a text"},
    [ANOMALY_LIMIT_DEPTH] = {"limit-depth", LIMIT, "Parts are nested too deeply"},
    [ANOMALY_LIMIT_PARTS] = {"limit-parts", LIMIT, "Too many parts"},
    [ANOMALY_LIMIT_HEADERS] = {"limit-headers", LIMIT, "Too many header fields"},
    [ANOMALY_LIMIT_HEADER_BYTES] = {"limit-header-bytes", LIMIT, "A header is too long"},
    [ANOMALY_LIMIT_PARAMETERS] = {"limit-parameters", LIMIT, "Too many parameters in a field"},
    [ANOMALY_LIMIT_READINGS] = {"limit-readings", LIMIT, "Too many ways to read the message"},
};

const char *anomaly_name(enum anomaly anomaly)
{
    return table[anomaly].name;
}

const char *anomaly_sentence(enum anomaly anomaly)
{
    return table[anomaly].sentence;
}

static uint64_t of_weight(enum weight weight)
{
    uint64_t set = 0;
    for (unsigned i = 0; i < ANOMALY_COUNT; i++)
        if (table[i].weight == weight)
            set |= ANOMALY_BIT(i);
    return set;
}

uint64_t anomalies_ambiguous(void)
{
    static uint64_t set;
    if (set == 0)
        set = of_weight(AMBIGUOUS);
    return set;
}

uint64_t anomalies_limits(void)
{
    static uint64_t set;
    if (set == 0)
        set = of_weight(LIMIT);
    return set;
}
