// What to do next about an error of a capture: by the names of lib/base/err.h and errno.  Pure.

const ADVICE = {
    NO_LISTEN: 'Node did not open its inspector. An event loop that is blocked for long, a process that was started '
        + 'with --disable-sigusr1, or a port that is taken keep it shut. Try again; if it stays so, restart the app.',
    NO_SIGNAL: 'This process ignores or handles SIGUSR1 by itself, so its inspector cannot be opened from outside. '
        + 'Remove its SIGUSR1 handler, or start the app with --inspect=127.0.0.1:0.',
    NOT_READY: 'It has only just started. Wait some seconds, then capture again.',
    NOT_RUNNING: 'It does not run, or has ended already. Look at its state and its log, start it, then capture again.',
    APP_GONE: 'The process ended while it was captured. Its exits and its log say why; capture again when it is up.',
    WRONG_PROCESS: 'Another process answered on that port. Capture again; if it stays so, restart the app.',
    POLICY: 'The host decides this itself, in its policy.json. Ask whoever runs the host, or choose what it allows.',
    UNSUPPORTED: 'This kind of capture does not work on this process. Choose another kind or process.',
    UNSUPPORTED_VERSION: 'This Node is too old, or too new, for this kind of capture. Choose another kind, or run the '
        + 'app with another Node.',
    PROBE_GONE: 'The helper that did the capture ended; the app itself goes on. Capture again. The log of proctord on '
        + 'that host says more.',
    AGENT_GONE: 'The agent of that host ended meanwhile and is started again by itself. Capture again in a moment.',
    INSPECTOR: 'Node refused a step of the capture. Capture again; another debugger on this process is a usual cause.',
    UNREACHABLE: 'The host is not connected. On the host, "proctor link status" says why; captures wait a minute '
        + 'for it.',
    EXPIRED: 'The host was not there in time, so nothing was started. Capture again when it is connected.',
    ETIMEDOUT: 'It took longer than it may. An event loop that is blocked, or a very busy host, are the usual causes. '
        + 'Capture again, with a shorter time.',
    BUSY: 'Too many captures at once, here or on that host. Wait until some have ended, or stop them.',
    EXISTS: 'This id was used for another order. Start it once more from the page "New capture".',
    REVOKED: 'This host was taken out of the console. An admin can link it anew.',
    DENIED: 'Your account may not do this. Ask an admin for the role "operator".',
    TOO_BIG: 'The result is larger than the limit. Choose a shorter time or a longer interval.',
    TOO_MANY: 'Too many requests at once. Wait a moment.',
    MISMATCH: 'The bytes that came are not those that the host announced. Capture again; look at its disk if it stays '
        + 'so.',
    ENOSPC: 'The disk is full, on the host or at the console. Make room, then capture again.',
    EIO: 'The disk failed, on the host or at the console. Look at its system log.',
    ENOMEM: 'There was not enough memory for it. Free some on that host, then capture again.',
    NOT_FOUND: 'It is not there (any more). Choose from what runs now.',
    STOPPING: 'Proctor was being stopped there. Capture again when it is up.',
    CANCELLED: 'It was cancelled; nothing is kept.',
};

const UNKNOWN = 'Capture again. If it stays so, the log of proctord on that host says more.';

export const adviceFor = (name) => ADVICE[name] || UNKNOWN;

const REASONS = {
    app_exit: 'the app ended during the capture; what there was until then is kept',
    app_stop: 'the app was stopped during the capture; what there was until then is kept',
    requested: 'it was stopped early',
};

export const reasonText = (reason) => REASONS[reason] || reason || '';

const WARNINGS = {
    port_left_open: 'The inspector of this process is still open on 127.0.0.1, because another debugger is attached or '
        + 'it could not be closed: local users of that host may reach it until the app is restarted.',
    result_missing: 'The result was not there when the host looked for it.',
    result_removed: 'The result was removed: somebody deleted it here, or its host needed the space.',
    result_damaged: 'The result was damaged on the host.',
    size_differs: 'The result is not as long as the profiler said.',
};

export const warningText = (name) => WARNINGS[name] || name;
