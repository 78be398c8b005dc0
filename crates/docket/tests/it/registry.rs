//! The registry API, each endpoint of the distribution spec by its number: what it answers when all is well, and when not.
//!
//! What the spec and its main branch ask, what servers are known to get wrong, and the test that holds it. Names without a path are
//! tests below this module; `bad_input`, `clients`, `exposed` and `restart` stand beside it, `oci`, `engine` and `client` are the tests
//! of those crates.
//!
//! | what is asked | test |
//! |---|---|
//! | digest and length on GET and HEAD of blobs and manifests | `end_2_a_blob_comes_back…`, `end_3_a_manifest_is_served…` |
//! | algorithm announced before the upload (4c) | `end_4c_a_session_for_sha512…` |
//! | several tags in one push, ten and more, 414 (7b) | `end_7b_several_tags_are_set_at_once` |
//! | cancel (14), idle sessions end | `end_14_a_cancelled_upload_is_gone`, engine `upload::idle_uploads…` |
//! | the closing PUT out of order is 416 | `end_6_a_closing_put_that_is_wrong…`, `bad_input::uploads::a_content_range_that_lies…` |
//! | malformed or unknown digest is 400 on every way | `bad_input::paths::malformed_digests…`, `end_4c…` |
//! | tags in byte order, `n`, `last`, `n=0`, clamped, links that keep what was asked | `end_8_tags_come_in_byte_order_and_in_pages`, `bad_input::paths::numbers…` |
//! | no tags are `[]`, no repository is 404 | `end_8_no_tags_are_an_empty_list…` |
//! | the tag of referrers, cut exactly, read and kept by the client | oci `name::the_tag_of_referrers…`, client `registry::a_referrer_is_added…` |
//! | lists under such a tag merge into the referrers | `end_12_what_a_fallback_tag_lists…` |
//! | `ns` of mirrors | `answers::the_name_of_a_mirrored_host…` |
//! | 429 with `Retry-After` | `end_4a_too_many_open_uploads…`, `exposed::slow::one_client_has_so_many_requests…` |
//! | extensions announced, catalog in pages | `the_statement_extension_is_announced`, `repositories_are_listed_in_pages` |
//! | names, also those made of the words of paths; read from the right | `bad_input::paths::names…`, oci `request::every_name_comes_back…` |
//! | tags and digests outside their grammar, a colon is never a tag | `bad_input::paths::tags…`, oci `request::a_reference_with_a_colon…` |
//! | ping (1), HEAD, 405 with `Allow` | `end_1_the_ping…`, oci `request::unknown_paths_differ…` |
//! | blobs are seen through their repository alone (2) | `end_2_an_absent_blob_is_404…` |
//! | ranges, 416 with the total, the empty blob | `end_2_ranges_are_cut…`, `exposed::downloads::parallel_ranges…` |
//! | `ETag`, `If-None-Match`, `If-Range` | `end_2_a_blob_that_the_client_has…`, `end_2_a_range_counts_only…` |
//! | many ranges at once | `bad_input::uploads::many_ranges_at_once…` |
//! | relative locations with a session of their own, `0-0` (4a) | `end_4a_an_upload_starts…` |
//! | one POST (4b), POST and PUT (6), streams (5), the empty blob | `end_4b…`, `end_6_the_closing_put…`, `end_5_a_stream…`, `the_empty_blob…` |
//! | `Range` counts from the start; status with extra query (13) | `end_5_the_range_counts…` |
//! | chunks out of order are 416 with `Location` and `Range` | `end_5_a_chunk_out_of_order…` |
//! | chunks that lie or end short count for nothing | `end_5_a_chunk_that_is_not_as_long…`, `end_5_a_chunk_whose_client_died…` |
//! | streams go on where they broke off | `bad_input::uploads::an_interrupted_chunk…`, `restart::uploads` |
//! | a wrong digest makes no blob and ends the session | `bad_input::uploads::a_digest_that_does_not_match…`, `…::an_upload_that_ended…` |
//! | two writers of a session, N clients with one blob | `two_writers_of_one_session…`, `many_clients…` |
//! | sessions belong to repository and account | `end_13_a_session_belongs…`, engine `upload::a_session_is_known…` |
//! | mount with and without `from`, never an error (11) | `mounts`, engine `access::a_mount_from_anywhere…` |
//! | exact bytes, type without parameters, `Accept` ignored (3, 7a) | `end_3_a_manifest_is_served…` |
//! | PUT by digest is compared | `end_7a_the_wrong_digest…` |
//! | type mismatch, both kinds, schema 1, no JSON | `bad_input::manifests::a_manifest_that_breaks_a_rule…` |
//! | missing blobs refused; subject, foreign layers, children may be absent | `end_7a_missing_blobs…`, `end_7a_what_may_be_absent…`, `end_7a_a_sparse_…` |
//! | unknown members and types, `data`, no layers, nested indexes | `artifacts::end_7a_…` |
//! | 4 MiB and not a byte more, 413 | `end_7a_a_manifest_may_have_4_mib…` |
//! | Docker types are peers | `end_7a_docker_types…` |
//! | `OCI-Subject` | `end_7a_what_may_be_absent…`, `end_12_a_referrer_is_described…` |
//! | referrers (12): never 404, type of the config, annotations | `end_12_referrers_of_what_nobody_pushed…`, `end_12_a_referrer_is_described…` |
//! | filter applied, said, never dropped | `end_12_a_filter_is_applied…` |
//! | pages below 4 MiB that keep the filter | `end_12_a_page_stays_below…`, `end_12_many_referrers…` |
//! | referrers outlive their subject, go at once, have referrers | `end_12_referrers_wait…`, `end_12_a_referrer_has…` |
//! | deletes (9, 10) are seen at once, take only what was named | `deletes::end_9…`, `deletes::end_10…` |
//! | 405 on every path where deletes are off | `end_9_and_10_where_deletes_are_off…` |
//! | error bodies, headers on every answer, storage faults are 5xx | `answers` |
//! | `Warning`, one line, at most 4096 bytes | `end_7a_a_sparse_index…`, oci `response::warnings…` |
//! | sha512 everywhere | `end_4b…`, `end_4c…`, `end_7a_a_manifest_is_created…`, `end_7b…` |
//! | build caches, charts, attestations, signatures | `artifacts`, `clients::sequences` |

mod answers;
mod artifacts;
mod buckets;
mod deletes;
mod listings;
mod manifests;
mod mounts;
mod pulls;
mod referrers;
mod uploads;
