import Glibc
import HTTPClient
import JSONBytes
import LogModel
import NIOCore
import NIOPosix
import Settings

/// Finds out where the daemon answers.
enum DaemonLocation {
    /// The socket of the packaged service (`RuntimeDirectory=logboom`).
    static let standardSocketPath = "/run/logboom/logboom.sock"
    static let standardURL = "http://127.0.0.1:8004"

    /// The option, else `LOGBOOM_URL`, else a socket that this user may open, else ``standardURL``.
    static func find(
        option: String?,
        environment: [String: String],
        isSocket: (String) -> Bool = DaemonLocation.isSocket
    ) -> String {
        if let option { return option }
        if let url = environment["LOGBOOM_URL"], !url.isEmpty { return url }
        let runtimeFolder = environment["RUNTIME_DIRECTORY"]?.split(separator: ":").first
        let candidates = [runtimeFolder.map { "\($0)/logboom.sock" }, standardSocketPath].compactMap { $0 }
        return candidates.first(where: isSocket).map { "unix:\($0)" } ?? standardURL
    }

    static func isSocket(_ path: String) -> Bool {
        var status = stat()
        // One that is not open to this user is as good as none: the port may be.
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK && access(path, W_OK) == 0
    }
}

/// Finds the token to show. In a file, never in an argument, which every user of the machine can see.
enum DaemonToken {
    /// Of the option, else of the file that `LOGBOOM_TOKEN_FILE` names; `nil` when neither is there.
    static func find(option: String?, environment: [String: String]) throws(CommandFailure) -> Secret? {
        let variable = environment["LOGBOOM_TOKEN_FILE"].flatMap { $0.isEmpty ? nil : $0 }
        guard let path = option ?? variable else { return nil }
        let name = DisplayText.clean(path, widthMax: 200)
        func failure(_ what: String) -> CommandFailure {
            CommandFailure(status: .misused, message: "the token in \(name) cannot be used: \(what)")
        }
        switch SettingsSource.readSecret(path) {
        case .failure(let problem): throw failure(problem.what)
        case .success(let secret):
            let text = secret.reveal()
            guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
                throw failure("a token has no blanks, control characters or letters beyond ASCII")
            }
            return secret
        }
    }
}

/// Talks to one daemon. Every call waits for its answer.
struct DaemonClient {
    /// Waiting longer than this for a page from the same machine means that something is wrong.
    static let timeout = Duration.seconds(10)
    /// The largest answer that is read: 1 000 patterns with their samples are below it.
    static let answerByteCountMax = 64 << 20

    let url: String
    private let client: HTTPClient
    private let token: Secret?

    init(_ url: String, token: Secret? = nil) throws(CommandFailure) {
        self.url = url
        self.token = token
        var options = HTTPClient.Options()
        options.userAgent = "logboom/\(logboomVersion)"
        do throws(HTTPAddressError) {
            // The process ends with the command, so the thread of the loop is never shut down on its own.
            let address = try HTTPAddress(url: url)
            client = HTTPClient(address, on: MultiThreadedEventLoopGroup(numberOfThreads: 1), options: options)
        } catch {
            throw CommandFailure(status: .misused, message: "\(error); --url is http://HOST:PORT or unix:/PATH")
        }
    }

    /// A JSON answer with its bytes, whatever its status.
    struct Answer {
        var status: Int
        var bytes: [UInt8]
        var json: JSONValue
    }

    func get(
        _ path: String,
        query: [(name: String, value: String)] = [],
        timeout: Duration = DaemonClient.timeout
    ) throws(CommandFailure) -> Answer {
        try call(HTTPCall("GET", HTTPCall.path(path, query: query), headers: headers), timeout: timeout)
    }

    func post(_ path: String, timeout: Duration) throws(CommandFailure) -> Answer {
        try call(HTTPCall("POST", path, headers: headers), timeout: timeout)
    }

    func delete(_ path: String, timeout: Duration) throws(CommandFailure) -> Answer {
        try call(HTTPCall("DELETE", path, headers: headers), timeout: timeout)
    }

    /// Hands on the pieces of an answer without an end until `onBody` says `false` or the daemon closes it.
    func stream(
        _ path: String,
        query: [(name: String, value: String)],
        onBody: @escaping @Sendable ([UInt8]) -> Bool
    ) throws(CommandFailure) {
        let call = HTTPCall("GET", HTTPCall.path(path, query: query), headers: headers(accept: "text/event-stream"))
        let head: HTTPAnswerHead
        do throws(HTTPClientError) {
            head = try client.streamAndWait(
                call,
                headTimeout: Self.timeout,
                onHead: { $0.status == 200 },
                onBody: onBody
            )
        } catch {
            throw failure(error)
        }
        guard head.status == 200 else { throw refusal(path, status: head.status, json: nil) }
    }

    /// What an answer other than success means, in a sentence.
    func refusal(_ path: String, status: Int, json: JSONValue?) -> CommandFailure {
        let detail = json?["detail"]?.string ?? json?["title"]?.string ?? json?["error"]?.string
        let text = detail.map { ": " + DisplayText.clean($0, widthMax: 300) } ?? ""
        let hint =
            switch status {
            case 401, 403: "\n  --token-file FILE, or LOGBOOM_TOKEN_FILE, names a file with a token"
            case 404: "; is it logboomd, and not an older one?"
            default: ""
            }
        return CommandFailure(status: .failed, message: "\(cleanURL) answered \(status) to \(path)\(text)\(hint)")
    }

    private var headers: [(name: String, value: String)] { headers(accept: "application/json") }

    private func headers(accept: String) -> [(name: String, value: String)] {
        [("Accept", accept)] + (token.map { [("Authorization", "Bearer \($0.reveal())")] } ?? [])
    }

    private var cleanURL: String { DisplayText.clean(url, widthMax: 200) }

    private func call(_ call: HTTPCall, timeout: Duration) throws(CommandFailure) -> Answer {
        let answer: HTTPAnswer
        do throws(HTTPClientError) {
            answer = try client.sendAndWait(call, timeout: timeout, answerByteCountMax: Self.answerByteCountMax)
        } catch {
            throw failure(error)
        }
        do throws(JSONSyntaxError) {
            return Answer(status: answer.status, bytes: answer.body, json: try JSONValue.parse(answer.body))
        } catch {
            let what = answer.bodyIsCut ? "more than \(Self.answerByteCountMax) bytes" : "something that is not JSON"
            throw CommandFailure(
                status: .failed,
                message: "\(cleanURL) answered \(answer.status) with \(what); is it logboomd?"
            )
        }
    }

    private func failure(_ error: HTTPClientError) -> CommandFailure {
        switch error.kind {
        case .malformedCall, .clientClosed, .tooManyCalls, .malformedAnswer:
            CommandFailure(status: .failed, message: error.description)
        case .timedOut where error.requestWasBegun:
            CommandFailure(status: .unavailable, message: "logboomd at \(cleanURL) did not answer in time (\(error))")
        case .resolveFailed, .connectFailed, .connectTimedOut, .timedOut, .connectionClosed:
            CommandFailure(
                status: .unavailable,
                message: """
                    logboomd does not answer at \(cleanURL) (\(error))
                      installed as a service?   systemctl status logboomd
                      in a checkout?            ./packaging/quickstart
                      listening elsewhere?      --url http://HOST:PORT or unix:/PATH, or LOGBOOM_URL
                    """ + (error.code == "EACCES" ? "\n  the socket is not open to this user; try sudo" : "")
            )
        }
    }
}
