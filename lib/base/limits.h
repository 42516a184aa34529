/* limits.h -- every bound on something that comes from outside, each with its reason.
 *
 * A size, count or length read from a file, a socket or a command line is compared with one of these before it is
 * used.  Sizes are bytes unless the name says otherwise. */
#pragma once

/* One line of the control protocol.  A `start` of 100 apps with 16 KB of environment each fits; a peer that sends
 * more is broken or hostile. */
#define LIMIT_CONTROL_LINE (4u << 20)

/* Bytes queued towards one control peer that does not read.  Past it the connection is closed. */
#define LIMIT_CONTROL_QUEUE (16u << 20)

/* Descriptors that travel with one message; the protocol needs one. */
#define LIMIT_CONTROL_FDS 4u

/* Control connections open at the same time: a script that forgets to close must not eat our descriptors. */
#define LIMIT_CONTROL_PEERS 256u

/* An ecosystem file.  PM2 users have files of some hundred KB at most. */
#define LIMIT_ECOSYSTEM_FILE (4u << 20)

/* The same as proctor-load hands it on: JSON with a line feed for each line. */
#define LIMIT_ECOSYSTEM_ANSWER (2 * LIMIT_ECOSYSTEM_FILE + 4096)

/* A file of environment variables: what the kernel takes for a process is 2 MiB by default, comments come to it. */
#define LIMIT_ENV_FILE (4u << 20)

/* A file of tzdata; the largest has 4 KiB. */
#define LIMIT_ZONE_FILE (256u << 10)

/* A package.json, whose version is shown; some carry long lists. */
#define LIMIT_PACKAGE_FILE (1u << 20)

/* Nesting of JSON that a person wrote or a protocol carries. */
#define LIMIT_JSON_DEPTH 64u

/* Apps in one file or request, instances of one app, instances of one host. */
#define LIMIT_APPS 1000u
#define LIMIT_INSTANCES_PER_APP 512u
#define LIMIT_INSTANCES 4096u

/* App names become file names and columns of a table. */
#define LIMIT_NAME 128u

/* One path, argument or environment entry; the kernel takes no more than 128 KiB (MAX_ARG_STRLEN) in one. */
#define LIMIT_STRING (128u << 10)

/* Arguments and environment entries of one app. */
#define LIMIT_LIST 4096u

/* state.json: LIMIT_APPS apps with their environments. */
#define LIMIT_STATE_FILE (64u << 20)

/* policy.json is written by hand. */
#define LIMIT_POLICY_FILE (256u << 10)

/* A record of one capture in the spool. */
#define LIMIT_CAPTURE_RECORD (64u << 10)

/* What is kept of a capture, of an inspector, of the agent for the next supervisor; our own bytes. */
#define LIMIT_KEPT_RECORD (256u << 10)

/* One inspector message that we read whole (replies to small requests, events).  Results are streamed and have
 * no limit but LIMIT_RESULT. */
#define LIMIT_INSPECTOR_MESSAGE (64u << 10)

/* A streamed result.  V8 itself cannot make a JSON string of more than 512 MiB; heap snapshots come in pieces. */
#define LIMIT_RESULT (8ull << 30)

/* Finished captures in the spool: bytes and number.  The oldest go first. */
#define LIMIT_SPOOL_BYTES (2ull << 30)
#define LIMIT_SPOOL_RECORDS 5000u

/* A capture's duration when no policy says otherwise, and the longest that a policy may allow: profilers keep every
 * sample in the app's memory until the end. */
#define LIMIT_CAPTURE_DURATION_MS (5 * 60 * 1000)
#define LIMIT_CAPTURE_LONGEST_MS (24 * 60 * 60 * 1000)

/* A profile file given to an analysis, and its parts.  A day of 100 Hz samples is 8.6 million. */
#define LIMIT_PROFILE_FILE (4ull << 30)
#define LIMIT_PROFILE_NODES (32u << 20)
#define LIMIT_PROFILE_DEPTH 4096u

/* Text of one exit's last stderr lines kept for `why` and for failed starts. */
#define LIMIT_STDERR_TAIL 4096u

/* One text message of the channel between agent and console: a list of LIMIT_INSTANCES processes of 250 bytes each. */
#define LIMIT_CHANNEL_MESSAGE (1u << 20)

/* Bytes of text messages queued towards a peer of the channel that does not read; past it the connection is closed. */
#define LIMIT_CHANNEL_QUEUE (4u << 20)

/* Results of one host that the console takes in at the same time. */
#define LIMIT_CHANNEL_BLOBS 4u

/* A result as it is stored, compressed: one that takes more does not come from V8. */
#define LIMIT_BLOB_STORED (4ull << 30)

/* A command waits for its host no longer, whatever its requester says. */
#define LIMIT_COMMAND_WAIT_MS (24 * 60 * 60 * 1000)

/* Hosts of one console, and connections before their first message, all together and from one address. */
#define LIMIT_HOSTS 20000u
#define LIMIT_AGENT_HANDSHAKES 512u

/* Requests of the API: head and body, connections open at the same time, all together and from one address. */
#define LIMIT_HTTP_HEAD (16u << 10)
#define LIMIT_HTTP_BODY (256u << 10)
#define LIMIT_HTTP_CONNECTIONS 2000u
#define LIMIT_HTTP_PER_ADDRESS 200u

/* A client that takes or sends nothing for so long is dropped, and so is one that takes less than these bytes of its
 * reply in that time: a reply in memory must not wait for hours. */
#define LIMIT_HTTP_SILENT_S 30u
#define LIMIT_HTTP_LEAST_BYTES (16u << 10)

/* The body of a request whose sender is not known: a login, an enrolment with its certificate request. */
#define LIMIT_HTTP_BODY_ANYONE (16u << 10)

/* All replies that wait for their clients, and all bodies of requests, together: some of the largest replies (16 MiB),
 * and little beside what the console needs for LIMIT_HOSTS hosts.  Past it requests and large replies become 503. */
#define LIMIT_HTTP_BYTES (64u << 20)

/* One answer of a console's API as the command line reads it: LIMIT_HOSTS hosts with several processes each. */
#define LIMIT_API_ANSWER (64u << 20)

/* Viewers of live updates, and bytes that wait for one before it is told to fetch everything anew: some lists of a
 * large host, each as long as it came plus what we add. */
#define LIMIT_LIVE_VIEWERS 500u
#define LIMIT_LIVE_QUEUE (4 * LIMIT_CHANNEL_MESSAGE)

/* Lists of processes that are out of date and still held for clients in the middle of them; past it those are cut
 * off. */
#define LIMIT_OLD_LISTS (16u << 20)

/* Captures of the console that have not ended: they are kept in memory. */
#define LIMIT_OPEN_CAPTURES 10000u

/* Those of one host: it takes on 64 at a time, and must not use up what is there for all. */
#define LIMIT_HOST_CAPTURES 1000u

/* Processes that one request profiles at once. */
#define LIMIT_CAPTURE_TARGETS 100u

/* Rows of one page of a list of the API. */
#define LIMIT_PAGE_ROWS 500u

/* Accounts and API tokens. */
#define LIMIT_USERS 1000u
#define LIMIT_TOKENS 1000u
#define LIMIT_PASSWORD 1024u

/* A stored result that is analysed, expanded.  V8 makes no JSON string of more than 512 MiB, so a profile has no more; names
 * that are not ASCII make it up to twice as long in a file. */
#define LIMIT_ANALYSIS_RESULT (1ull << 30)

/* All memory of one analysis: the expanded result, which is anonymous memory so that it counts (RLIMIT_AS), and what is made of
 * it; that was 600 MiB for 566 MB of nothing but nodes with a function each, and is less for others.  Two run at the same
 * time: 3 GiB together. */
#define LIMIT_ANALYSIS_MEMORY (LIMIT_ANALYSIS_RESULT + (512ull << 20))

/* What else an analysis may take: CPU time, the wait for its turn, and the text that comes out. */
#define LIMIT_ANALYSIS_SECONDS 120u
#define LIMIT_ANALYSIS_WAIT_S 60u
#define LIMIT_ANALYSIS_TEXT (16u << 20)
#define LIMIT_TREE_NODES 10000u
#define LIMIT_TABLE_ROWS 5000u

/* Pieces of work that wait for the console's store; past it the disk does not keep up. */
#define LIMIT_STORE_QUEUE 10000u

/* Sessions of one account: the oldest goes when one more logs in. */
#define LIMIT_SESSIONS_PER_USER 20u

/* Processes of one host whose history is kept: a host that gives its apps new names for ever does not fill the disk. */
#define LIMIT_HOST_HISTORY 10000u

/* Ends of one process that are kept. */
#define LIMIT_EXITS 1000u

/* Points of one series of the API: more than a screen has columns. */
#define LIMIT_SERIES_POINTS 2000u

/* The end of a log as a console sees it: bytes and lines, and how many requests may wait for one host. */
#define LIMIT_LOG_TEXT (256u << 10)
#define LIMIT_LOG_LINES 1000u
#define LIMIT_LOG_WAITING 20u

/* One line of an app's IPC channel; an app that sends a longer one is no longer listened to. */
#define LIMIT_IPC_LINE (1u << 20)

/* What an app may tell of itself in one message, and how much of it is kept. */
#define LIMIT_IPC_FACTS (64u << 10)
#define LIMIT_IPC_METRICS 100u
#define LIMIT_IPC_ACTIONS 100u

/* One message to an app: the kernel takes so much whole or not at all, so that a death never leaves half a line. */
#define LIMIT_IPC_SEND (24u << 10)

/* Messages that wait for an app which does not read. */
#define LIMIT_IPC_QUEUE (256u << 10)

/* Actions asked of apps that have not been answered, and the answers that are kept for a repeated request. */
#define LIMIT_TRIGGERS 64u
#define LIMIT_TRIGGER_MS (60 * 60 * 1000)

/* One answer of `app.metrics`: points of history of all its processes together, each about 50 bytes of a control line. */
#define LIMIT_METRIC_POINTS 60000u

/* The same for Prometheus: LIMIT_INSTANCES processes, each with what its app tells of itself (LIMIT_IPC_FACTS at most, and
 * usually nothing). */
#define LIMIT_METRICS_TEXT (64u << 20)

/* Who reads it over HTTP: the head of a request, connections at the same time, and how long one may take. */
#define LIMIT_METRICS_HEAD (8u << 10)
#define LIMIT_METRICS_READERS 16u
#define LIMIT_METRICS_READER_MS 10000
