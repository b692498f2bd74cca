-- From partial connections and added-up hours to the edges of the label graph. duckdb and Spark run this text unchanged:
-- it uses what both have, and aggregates only that can be merged, so that any part of the data may be added up anywhere.
-- netpol/edges/__init__.py says what it is given and what it yields, and where it differs from netpol.flows.assemble.
--
-- An end is one number: that of its address * 65536 + its port. A place is an end with port 0. IPv4 addresses have their
-- own number, IPv6 addresses one from 2^40 on, in their order, that the table `six` gives them, so that ends are less than
-- 2^60 = 1152921504606846976. Times are nanoseconds; 9223372036854775807 is never.

CREATE OR REPLACE TEMPORARY VIEW stored AS
SELECT family, protocol, low_high, low, low_port, high_high, high, high_port, first, last, anchor, syn, synack, packets,
       bytes, client_isn, server_isn, events, side, opened_high, tracked, 0 AS told, false AS uncounted
FROM connections
UNION ALL
SELECT family, protocol, low_high, low, low_port, high_high, high, high_port, first, last, anchor, syn, synack, packets,
       bytes, client_isn, server_isn, events, side, opened_high, tracked, told, told = 0
FROM carried;

-- What was counted in an hour before stands here as one packet: it is in that hour's rows already. Above the bits of the
-- two ends, events hold more: 65536 where somebody kept track, 131072 where it was carried and counts in no hour yet,
-- 262144 for a SYN, 524288 for a SYN-ACK, and five for the outcomes under which it counted: 1048576 established, and so on.
CREATE OR REPLACE TEMPORARY VIEW piece AS
SELECT CAST(protocol AS INT) AS protocol,
       CAST(CASE WHEN family = 4 THEN stored.low ELSE low_six.id END AS BIGINT) * 65536 + low_port AS low_end,
       CAST(CASE WHEN family = 4 THEN stored.high ELSE high_six.id END AS BIGINT) * 65536 + high_port AS high_end,
       first, last, syn, synack, packets > 0 AS genuine,
       coalesce(anchor, first) AS named_at,
       coalesce(anchor, first) * 2 + CASE WHEN opened_high THEN 1 ELSE 0 END AS opening,
       CASE WHEN told > 0 THEN packets - 1 ELSE packets END AS packets,
       bytes,
       CASE WHEN side <> 2 THEN CAST(client_isn AS BIGINT) END AS client_isn,
       CASE WHEN synack IS NOT NULL THEN CAST(server_isn AS BIGINT) END AS server_isn,
       CAST(events AS INT) + CASE WHEN tracked THEN 65536 ELSE 0 END + CASE WHEN uncounted THEN 131072 ELSE 0 END
           + CASE WHEN syn IS NULL THEN 0 ELSE 262144 END + CASE WHEN synack IS NULL THEN 0 ELSE 524288 END
           + CASE told WHEN 0 THEN 0 WHEN 1 THEN 1048576 WHEN 2 THEN 2097152 WHEN 3 THEN 4194304 WHEN 4 THEN 8388608
                       ELSE 16777216 END AS events,
       CAST(side AS INT) AS side, tracked
FROM stored
LEFT JOIN six AS low_six ON family = 6 AND low_high = low_six.high AND stored.low = low_six.low
LEFT JOIN six AS high_six ON family = 6 AND high_high = high_six.high AND stored.high = high_six.low;

-- kept
-- TCP: the 5-tuples that have packets without SYN or SYN-ACK, or are quoted; these have to be put in order.
CREATE OR REPLACE TEMPORARY VIEW loose AS
SELECT low_end, high_end FROM piece WHERE protocol = 6 AND (side = 2 OR NOT genuine) GROUP BY low_end, high_end;

-- kept
-- What of them, and of other protocols, is one conversation in whatever order its records stand: `sole`. No other was
-- named on its 5-tuple, and it has no silence that may end it: it is short, or there was something in each of the spells
-- of half such a silence.
CREATE OR REPLACE TEMPORARY VIEW whole AS
SELECT protocol, low_end, high_end, first, last, syn, synack, packets, bytes, client_isn, server_isn, events, side,
       opening, tracked,
       protocol NOT IN (6, 17, 132)
       OR ((protocol <> 6 OR least_stream IS NULL
            OR (least_stream = most_stream AND (unnamed_at IS NULL OR unnamed_at >= named_at)))
           AND (latest - least_last <= 120000000000
                OR ((steady OR (protocol = 6 AND latest - first <= 7440000000000))
                    AND (protocol <> 6
                         OR (coalesce(latest - ending <= 120000000000, true)
                             AND (least_stream IS NULL OR coalesce(progress - first <= 120000000000, false))))))) AS sole
FROM (SELECT grouped.*, latest_spell - first_spell < 62 AND bit_count(spells) = latest_spell - first_spell + 1 AS steady
      FROM (SELECT protocol, low_end, high_end, min(first) AS first, max(last) AS last, min(syn) AS syn,
                   min(synack) AS synack, sum(packets) AS packets, sum(bytes) AS bytes, max(client_isn) AS client_isn,
                   max(server_isn) AS server_isn, bit_or(events) AS events, min(side) AS side, min(opening) AS opening,
                   min(CASE WHEN tracked THEN opening END) AS tracked,
                   max(first) AS latest, min(last) AS least_last,
                   min(CASE WHEN side <> 2 THEN client_isn * 2 + side END) AS least_stream,
                   max(CASE WHEN side <> 2 THEN client_isn * 2 + side END) AS most_stream,
                   min(CASE WHEN side <> 2 THEN named_at END) AS named_at,
                   min(CASE WHEN side = 2 THEN named_at END) AS unnamed_at,
                   min(CASE WHEN (events & 6168) <> 0 THEN first END) AS ending,
                   min(CASE WHEN (events & 1542) <> 0 THEN first END) AS progress,
                   min(spell) AS first_spell, max(spell) AS latest_spell,
                   bit_or(CAST(pow(2, spell % 62) AS BIGINT)) AS spells
            FROM (SELECT piece.*,
                         CAST(floor(first / CASE WHEN protocol = 6 THEN 3700000000000 ELSE 59000000000 END) AS BIGINT)
                             AS spell
                  FROM piece
                  LEFT JOIN loose ON protocol = 6 AND piece.low_end = loose.low_end AND piece.high_end = loose.high_end
                  WHERE genuine AND (protocol <> 6 OR loose.low_end IS NOT NULL)) AS each
            GROUP BY protocol, low_end, high_end) AS grouped) AS spelled;

-- A packet without SYN or SYN-ACK belongs to the latest that was named on its 5-tuple at or before it.
CREATE OR REPLACE TEMPORARY VIEW placed AS
SELECT piece.*,
       sum(CASE WHEN side <> 2 THEN 1 ELSE 0 END) OVER (
           PARTITION BY piece.low_end, piece.high_end ORDER BY named_at, CASE WHEN side <> 2 THEN 0 ELSE 1 END, last
           ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS island
FROM piece
JOIN (SELECT low_end, high_end FROM whole WHERE protocol = 6 AND NOT sole) AS several
  ON piece.low_end = several.low_end AND piece.high_end = several.high_end
WHERE protocol = 6 AND genuine;

CREATE OR REPLACE TEMPORARY VIEW streamed AS
SELECT placed.*, max(client_isn * 2 + side) OVER (PARTITION BY low_end, high_end, island) AS stream FROM placed
UNION ALL
SELECT piece.*, 0 AS island, CAST(NULL AS BIGINT) AS stream
FROM piece
JOIN (SELECT protocol, low_end, high_end FROM whole WHERE protocol <> 6 AND NOT sole) AS lasting
  ON piece.protocol = lasting.protocol AND piece.low_end = lasting.low_end AND piece.high_end = lasting.high_end
WHERE genuine;

CREATE OR REPLACE TEMPORARY VIEW run AS
SELECT protocol, low_end, high_end, stream, run, min(first) AS first, max(last) AS last, min(syn) AS syn,
       min(synack) AS synack, sum(packets) AS packets, sum(bytes) AS bytes, max(client_isn) AS client_isn,
       max(server_isn) AS server_isn, bit_or(events) AS events, min(side) AS side, min(opening) AS opening,
       min(CASE WHEN tracked THEN opening END) AS tracked,
       max(CASE WHEN silence > 120000000000 THEN silence END) AS silence
FROM (SELECT reached.*,
             sum(CASE WHEN silence > 120000000000 THEN 1 ELSE 0 END)
                 OVER (PARTITION BY protocol, low_end, high_end, stream ORDER BY first, last, packets, bytes
                       ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS run
      FROM (SELECT streamed.*,
                   first - max(last)
                       OVER (PARTITION BY protocol, low_end, high_end, stream ORDER BY first, last, packets, bytes
                             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS silence
            FROM streamed) AS reached) AS counted
GROUP BY protocol, low_end, high_end, stream, run;

-- A silence of 120 s separates conversations; in TCP only behind an end, or one of 2 h 4 min.
CREATE OR REPLACE TEMPORARY VIEW ended AS
SELECT runs.*,
       silence IS NOT NULL AND (
           protocol <> 6 OR silence > 7440000000000
           OR (seen & 2056) <> 0 OR (seen & 4112) = 4112 OR (opened_before < 2 AND (seen & 1542) = 0)) AS over,
       silence IS NOT NULL AND (
           protocol <> 6 OR silence > 7440000000000
           OR (just_seen & 2056) <> 0 OR (just_seen & 4112) = 4112 OR (just_opened < 2 AND (just_seen & 1542) = 0))
           AS just_over
FROM (SELECT run.*, bit_or(events) OVER earlier AS seen, min(side) OVER earlier AS opened_before,
             lag(events) OVER queue AS just_seen, lag(side) OVER queue AS just_opened
      FROM run
      WINDOW queue AS (PARTITION BY protocol, low_end, high_end, stream ORDER BY run),
             earlier AS (PARTITION BY protocol, low_end, high_end, stream ORDER BY run
                         ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS runs;

-- kept
CREATE OR REPLACE TEMPORARY VIEW joined AS
SELECT protocol, low_end, high_end, stream, part, min(first) AS first, max(last) AS last, min(syn) AS syn,
       min(synack) AS synack, sum(packets) AS packets, sum(bytes) AS bytes, max(client_isn) AS client_isn,
       max(server_isn) AS server_isn, bit_or(events) AS events, min(side) AS side, min(opening) AS opening,
       min(tracked) AS tracked
FROM (SELECT divided.*,
             sum(CASE WHEN ended_before > 0 AND just_over THEN 1 WHEN ended_before > 0 THEN 0 WHEN over THEN 1 ELSE 0 END)
                 OVER (PARTITION BY protocol, low_end, high_end, stream ORDER BY run
                       ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS part
      FROM (SELECT ended.*,
                   coalesce(sum(CASE WHEN over THEN 1 ELSE 0 END)
                       OVER (PARTITION BY protocol, low_end, high_end, stream ORDER BY run
                             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS ended_before
            FROM ended) AS divided) AS parted
GROUP BY protocol, low_end, high_end, stream, part;

-- Packets captured at most 50 ms before the SYN that they follow are of its connection, unless they end one.
CREATE OR REPLACE TEMPORARY VIEW neighbours AS
SELECT joined.*,
       lead(first) OVER beside AS next_first, lead(side) OVER beside AS next_side,
       lead(stream) OVER beside AS next_stream, lead(part) OVER beside AS next_part
FROM joined
WINDOW beside AS (PARTITION BY protocol, low_end, high_end ORDER BY first, last, side);

CREATE OR REPLACE TEMPORARY VIEW ordered AS
SELECT protocol, low_end, high_end, min(first) AS first, max(last) AS last, min(syn) AS syn, min(synack) AS synack,
       sum(packets) AS packets, sum(bytes) AS bytes, max(client_isn) AS client_isn, max(server_isn) AS server_isn,
       bit_or(events) AS events, min(side) AS side, min(opening) AS opening, min(tracked) AS tracked
FROM (
    SELECT neighbours.*,
           CASE WHEN early THEN next_stream ELSE stream END AS its_stream,
           CASE WHEN early THEN next_part ELSE part END AS its_part
    FROM (SELECT neighbours.*,
                 protocol = 6 AND side = 2 AND (events & 6168) = 0 AND coalesce(next_side, 2) <> 2
                 AND coalesce(next_first, first) - first <= 50000000 AS early
          FROM neighbours) AS neighbours
) AS settled
GROUP BY protocol, low_end, high_end, its_stream, its_part;

-- kept
CREATE OR REPLACE TEMPORARY VIEW followed AS
SELECT * FROM ordered
UNION ALL
SELECT protocol, low_end, high_end, first, last, syn, synack, packets, bytes, client_isn, server_isn, events, side,
       opening, tracked
FROM whole WHERE sole;

-- An unreachable belongs to the conversation of the quoted 5-tuple that began last before it.
CREATE OR REPLACE TEMPORARY VIEW quoted AS
SELECT protocol, low_end, high_end, first, bit_or(events) AS events
FROM (SELECT quote.protocol, quote.low_end, quote.high_end, quote.first AS quoted_at, quote.events, max(followed.first) AS first
      FROM (SELECT protocol, low_end, high_end, first, events FROM piece WHERE NOT genuine) AS quote
      JOIN followed ON followed.protocol = quote.protocol AND followed.low_end = quote.low_end
                   AND followed.high_end = quote.high_end AND followed.first <= quote.first
      GROUP BY quote.protocol, quote.low_end, quote.high_end, quote.first, quote.events) AS latest
GROUP BY protocol, low_end, high_end, first;

-- kept
-- The client first. Who sent the SYN is it, else who sent first, unless that is a Service's address.
CREATE OR REPLACE TEMPORARY VIEW turned AS
SELECT protocol, CASE WHEN swap THEN high_end ELSE low_end END AS client,
       CASE WHEN swap THEN low_end ELSE high_end END AS server,
       first, last, syn, synack, packets, bytes, client_isn, server_isn,
       CASE WHEN swap THEN events - events % 65536 + events % 256 * 256
                     + CAST((events % 65536 - events % 256) / 256 AS INT)
            ELSE events END AS events,
       side <> 2 AS opened
FROM (
    SELECT followed.protocol, followed.low_end, followed.high_end, followed.first, last, syn, synack,
           CAST(packets AS BIGINT) AS packets, CAST(bytes AS BIGINT) AS bytes, client_isn, server_isn, side,
           followed.events | coalesce(quoted.events, 0) AS events,
           CASE WHEN side <> 2 THEN side = 1
                WHEN followed.tracked IS NULL AND (low_service.place IS NULL) <> (high_service.place IS NULL)
                     THEN high_service.place IS NULL
                WHEN followed.protocol IN (1, 58) THEN followed.high_end % 65536 = 3
                WHEN followed.tracked IS NOT NULL THEN followed.tracked % 2 = 1
                ELSE opening % 2 = 1 END AS swap
    FROM followed
    LEFT JOIN quoted ON followed.protocol = quoted.protocol AND followed.low_end = quoted.low_end
                    AND followed.high_end = quoted.high_end AND followed.first = quoted.first
    LEFT JOIN service AS low_service ON low_service.place = followed.low_end - followed.low_end % 65536
    LEFT JOIN service AS high_service ON high_service.place = followed.high_end - followed.high_end % 65536
) AS told_who;

-- TCP whose every record holds a SYN or SYN-ACK needs no order.
CREATE OR REPLACE TEMPORARY VIEW plain AS
SELECT protocol, CASE WHEN side = 1 THEN piece.high_end ELSE piece.low_end END AS client,
       CASE WHEN side = 1 THEN piece.low_end ELSE piece.high_end END AS server,
       first, last, syn, synack, packets, bytes, client_isn, server_isn,
       CASE WHEN side = 1 THEN events - events % 65536 + events % 256 * 256
                     + CAST((events % 65536 - events % 256) / 256 AS INT)
            ELSE events END AS events,
       true AS opened
FROM piece LEFT JOIN loose ON piece.low_end = loose.low_end AND piece.high_end = loose.high_end
WHERE protocol = 6 AND genuine AND loose.low_end IS NULL;

CREATE OR REPLACE TEMPORARY VIEW seen_view AS
SELECT * FROM plain UNION ALL SELECT * FROM turned;

-- kept
-- A SYN that nobody answered where it was seen, as one row even where it was repeated in another minute.
CREATE OR REPLACE TEMPORARY VIEW attempt AS
SELECT protocol, client, server, min(first) AS first, max(last) AS last, min(syn) AS syn,
       CAST(sum(packets) AS BIGINT) AS packets, CAST(sum(bytes) AS BIGINT) AS bytes, client_isn,
       bit_or(events) AS events
FROM (SELECT again.*,
             sum(CASE WHEN silence > 120000000000 THEN 1 ELSE 0 END)
                 OVER (PARTITION BY client, server, client_isn ORDER BY first, last
                       ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS part
      FROM (SELECT seen_view.*,
                   first - max(last) OVER (PARTITION BY client, server, client_isn ORDER BY first, last
                                           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS silence
            FROM seen_view WHERE protocol = 6 AND syn IS NOT NULL AND synack IS NULL) AS again) AS repeated
GROUP BY protocol, client, server, client_isn, part;

-- It may be another view of a connection of the same client, translated on its way: only the server's address differs.
CREATE OR REPLACE TEMPORARY VIEW candidate AS
SELECT client, client_isn, server, syn, first, last, CAST(NULL AS BIGINT) AS server_isn,
       CASE WHEN service.place IS NULL THEN 0 ELSE 1 END AS at_service
FROM attempt LEFT JOIN service ON service.place = server - server % 65536
UNION ALL
SELECT seen_view.client, seen_view.client_isn, server, syn, first, last, server_isn, 0
FROM seen_view
JOIN (SELECT DISTINCT client, client_isn FROM attempt) AS wanted
  ON seen_view.client = wanted.client AND seen_view.client_isn = wanted.client_isn
WHERE protocol = 6 AND synack IS NOT NULL AND syn IS NOT NULL;

-- kept
CREATE OR REPLACE TEMPORARY VIEW tip_of_attempts AS
SELECT client, client_isn, server, max(server_isn) AS server_isn, count(server_isn) AS answered, count(*) AS views,
       min(syn) AS syn, max(syn) AS last_syn, min(last) AS last, max(first) AS first, max(at_service) AS at_service
FROM candidate GROUP BY client, client_isn, server;

-- kept
CREATE OR REPLACE TEMPORARY VIEW tried AS
SELECT attempt.*, coalesce(same.server_isn, company.server_isn) AS server_isn,
       translated AND company.server_isn IS NULL AS shared,
       same.server_isn IS NOT NULL OR (translated AND company.server_isn IS NOT NULL) AS adopted,
       same.at_service
FROM attempt
JOIN tip_of_attempts AS same ON attempt.client = same.client AND attempt.client_isn = same.client_isn
                            AND attempt.server = same.server
JOIN (SELECT client, client_isn, max(server_isn) AS server_isn,
             sum(views) BETWEEN 2 AND 3 AND sum(answered) <= 1
             AND min(server - server % 65536) <> max(server - server % 65536)
             AND (max(last_syn) - min(syn) <= 50000000
                  OR (sum(views) = 2 AND sum(at_service) = 1 AND max(first) - min(last) <= 1000000000)) AS translated
      FROM tip_of_attempts GROUP BY client, client_isn) AS company
  ON attempt.client = company.client AND attempt.client_isn = company.client_isn;

-- Views of one handshake: address translation leaves both sequence numbers alone, which `shake` holds as one number.
-- The less time from SYN to SYN-ACK, at most 2^40, the nearer to the server: `nearness` is that time * 2^22 and a number
-- to know the server by. A Service's address tells nothing: it is `virtual`, by 2^60 more than any end.
CREATE OR REPLACE TEMPORARY VIEW shaken AS
SELECT protocol, shake, client, server, first, last, syn, gap, answered, packets, bytes, events, virtual,
       CASE WHEN virtual = 0
            THEN CASE WHEN gap < 0 THEN 0 WHEN gap < 1099511627775 THEN gap ELSE 1099511627775 END * 4194304
                + server % 4194301 END AS nearness
FROM (SELECT CAST(protocol AS SMALLINT) AS protocol, (client_isn - 2147483648) * 4294967296 + server_isn AS shake,
             client, server, first, last, syn, gap, answered, packets, bytes, events,
             CASE WHEN service.place IS NULL THEN 0 ELSE 1152921504606846976 END AS virtual
      FROM (SELECT protocol, client_isn, server_isn, client, server, first, last, syn, synack - syn AS gap,
                   true AS answered, packets, bytes, events
            FROM seen_view WHERE synack IS NOT NULL
            UNION ALL
            SELECT protocol, client_isn, server_isn, client, server, first, last, syn, CAST(NULL AS BIGINT), false,
                   packets, bytes, events
            FROM tried WHERE adopted) AS either
      LEFT JOIN service ON service.place = server - server % 65536) AS measured;

-- At most three views of one client that has one server, but for Services' addresses, or two of which one was nearer,
-- are one connection. What is neither the least nor the most of three is what an exclusive or of all leaves. Sums of so
-- few are exact as DOUBLE, in which they are made faster.
CREATE OR REPLACE TEMPORARY VIEW recognised AS
SELECT protocol, shake, client, first, last, packets, bytes, events,
       CASE WHEN one_server AND least_server >= 1152921504606846976 THEN least_server - 1152921504606846976
            WHEN one_server OR nearest % 4194304 = least_server % 4194301 THEN least_server
            ELSE most_server END AS server,
       CASE WHEN NOT one_client THEN false
            WHEN one_server THEN true
            ELSE coalesce(
                least_server % 4194301 <> most_server % 4194301
                AND nearest % 4194304 IN (least_server % 4194301, most_server % 4194301)
                AND farthest % 4194304 IN (least_server % 4194301, most_server % 4194301)
                AND nearest - nearest % 4194304 <> farthest - farthest % 4194304
                AND (middle = 0 OR middle % 4194304 = nearest % 4194304
                     OR (middle % 4194304 = farthest % 4194304
                         AND nearest - nearest % 4194304 <> middle - middle % 4194304))
                AND (least_pod.place IS NULL OR most_pod.place IS NULL), false) END AS clear
FROM (SELECT apart.*, (others | farthest) - (others & farthest) AS middle
      FROM (SELECT grouped.*,
                   least_server = most_server OR least_server = most_server + 2305843009213693952 AS one_server,
                   (unlike | nearest) - (unlike & nearest) AS others
            FROM (SELECT protocol, shake, min(client) AS client,
                         count(*) <= 3 AND min(client) = max(client) AS one_client,
                         min(server + virtual) AS least_server, max(server - virtual) AS most_server,
                         min(nearness) AS nearest, max(nearness) AS farthest, bit_xor(nearness) AS unlike,
                         min(first) AS first, max(last) AS last, sum(CAST(packets AS DOUBLE)) AS packets,
                         sum(CAST(bytes AS DOUBLE)) AS bytes, bit_or(events) AS events
                  FROM shaken
                  GROUP BY protocol, shake) AS grouped) AS apart) AS named
LEFT JOIN pod AS least_pod ON least_pod.place = least_server - least_server % 65536 AND NOT one_server
LEFT JOIN pod AS most_pod ON most_pod.place = most_server - most_server % 65536 AND NOT one_server;

-- kept
-- They are added up at once, with who held the addresses: most of what there is are such. The others keep their number,
-- as they are to be looked at closely.
CREATE OR REPLACE TEMPORARY VIEW handshake AS
SELECT protocol, CASE WHEN clear THEN NULL ELSE shake END AS shake,
       CASE WHEN (events & 262144) <> 0 THEN client - client % 65536 ELSE client END AS client, server, events,
       CASE WHEN last < source.met_from THEN -1 WHEN last >= source.met_until THEN -2
            ELSE coalesce(source.label, -1) END AS source,
       CASE WHEN last < destination.met_from THEN -1 WHEN last >= destination.met_until THEN -2
            ELSE coalesce(destination.label, -1) END AS destination,
       count(*) AS connections, CAST(sum(packets) AS BIGINT) AS packets, CAST(sum(bytes) AS BIGINT) AS bytes,
       min(first) AS first, max(last) AS last
FROM (SELECT protocol, shake, client, server, events, first, last, CAST(packets AS BIGINT) AS packets,
             CAST(bytes AS BIGINT) AS bytes, clear
      FROM recognised WHERE events < 1048576 OR packets > 0 OR NOT clear) AS counted
LEFT JOIN tenancy AS source ON source.place = client - client % 65536 AND first >= source.since AND first < source.until
LEFT JOIN tenancy AS destination ON destination.place = server - server % 65536 AND first >= destination.since
                                AND first < destination.until
GROUP BY 1, 2, 3, 4, 5, 6, 7;

-- kept
CREATE OR REPLACE TEMPORARY VIEW closely AS
SELECT shaken.*, client_pod.place AS client_pod, server_pod.place AS server_pod
FROM shaken
JOIN (SELECT protocol, shake FROM handshake WHERE shake IS NOT NULL) AS named
  ON shaken.protocol = named.protocol AND shaken.shake = named.shake
LEFT JOIN pod AS client_pod ON client_pod.place = client - client % 65536
LEFT JOIN pod AS server_pod ON server_pod.place = server - server % 65536;

-- kept
-- Sequence numbers that several connections share were made up: then the clients' ends tell these apart.
CREATE OR REPLACE TEMPORARY VIEW made_up AS
SELECT protocol, shake
FROM closely
WHERE answered
GROUP BY protocol, shake
HAVING count(DISTINCT client - client % 65536) > 2
    OR count(DISTINCT server - server % 65536) > 3
    OR count(DISTINCT CAST(client AS STRING) || ' ' || CAST(server - server % 65536 AS STRING))
       > count(DISTINCT CAST(client - client % 65536 AS STRING) || ' ' || CAST(server - server % 65536 AS STRING))
    OR count(DISTINCT client_pod) > 1
    OR count(DISTINCT server_pod) > 1;

-- Conversations that have no handshake to know them by: one with a Service's address is the same client's with a pod at
-- the same time.
CREATE OR REPLACE TEMPORARY VIEW quiet AS
SELECT turned.*, CASE WHEN service.place IS NULL THEN 0 ELSE 1 END AS at_service
FROM turned LEFT JOIN service ON service.place = server - server % 65536
WHERE synack IS NULL AND (protocol <> 6 OR syn IS NULL);

-- kept
CREATE OR REPLACE TEMPORARY VIEW asking AS
SELECT DISTINCT protocol AS its_protocol, client AS its_client FROM quiet WHERE at_service = 1 AND protocol IN (6, 17);

CREATE OR REPLACE TEMPORARY VIEW served AS
SELECT quiet.*, row_number() OVER queue AS number,
       CASE WHEN lag(at_service) OVER queue <> at_service AND first <= lag(last) OVER queue + 1000000000
            THEN first - lag(first) OVER queue END AS before,
       CASE WHEN lead(at_service) OVER queue <> at_service AND lead(first) OVER queue <= last + 1000000000
            THEN (lead(first) OVER queue) - first END AS after
FROM quiet JOIN asking ON protocol = its_protocol AND client = its_client
WINDOW queue AS (PARTITION BY protocol, client ORDER BY first, last, server);

-- The longer from SYN to SYN-ACK, the nearer to the client; then, who saw the SYN first. A Service's address gives way.
CREATE OR REPLACE TEMPORARY VIEW ranked AS
SELECT apart.*,
       row_number() OVER (PARTITION BY protocol, shake, its_client
                          ORDER BY coalesce(gap, -1) DESC, coalesce(syn, 9223372036854775807), client, server)
           AS from_client,
       row_number() OVER (PARTITION BY protocol, shake, its_client
                          ORDER BY virtual, coalesce(gap, 9223372036854775807),
                                   coalesce(syn, 9223372036854775807) DESC, server, client)
           AS from_server
FROM (SELECT closely.*, CASE WHEN made_up.protocol IS NULL THEN -1 ELSE client END AS its_client
      FROM closely
      LEFT JOIN made_up ON closely.protocol = made_up.protocol AND closely.shake = made_up.shake) AS apart;

CREATE OR REPLACE TEMPORARY VIEW alone AS
SELECT protocol, min(CASE WHEN from_client = 1 THEN client END) AS client,
       min(CASE WHEN from_server = 1 THEN server END) AS server,
       min(CASE WHEN from_server = 1 THEN client END) AS at_server, min(first) AS first, max(last) AS last,
       CAST(sum(packets) AS BIGINT) AS packets, CAST(sum(bytes) AS BIGINT) AS bytes, bit_or(events) AS events,
       true AS opened
FROM ranked GROUP BY protocol, shake, its_client
UNION ALL
SELECT protocol, client, min(CASE WHEN from_server = 1 THEN server END), client, min(first), max(last),
       CAST(sum(packets) AS BIGINT), CAST(sum(bytes) AS BIGINT), bit_or(events), true
FROM (SELECT tried.*,
             row_number() OVER (PARTITION BY client, client_isn ORDER BY at_service, syn DESC, server) AS from_server
      FROM tried WHERE shared) AS nearer
GROUP BY protocol, client, client_isn
UNION ALL
SELECT protocol, client, server, client, first, last, packets, bytes, events, true
FROM tried WHERE NOT shared AND NOT adopted
UNION ALL
SELECT protocol, client, min_by(server, at_service), client, min(first), max(last), sum(packets), sum(bytes),
       bit_or(events), bool_or(opened)
FROM (SELECT served.*,
             CASE WHEN at_service = 0 OR (before IS NULL AND after IS NULL) THEN number
                  WHEN after IS NULL OR before <= after THEN number - 1
                  ELSE number + 1 END AS its_number
      FROM served) AS paired
GROUP BY protocol, client, its_number
UNION ALL
SELECT protocol, client, server, client, first, last, packets, bytes, events, opened
FROM quiet LEFT JOIN asking ON protocol = its_protocol AND client = its_client
WHERE its_client IS NULL;

-- Who held the addresses is known already where connections were added up.
CREATE OR REPLACE TEMPORARY VIEW conversation AS
SELECT protocol, client, server, client AS at_server, first, last, packets, bytes, events, true AS opened, connections,
       source, destination
FROM handshake WHERE shake IS NULL
UNION ALL
SELECT protocol, client, server, at_server, first, last, packets, bytes, events, opened, CAST(1 AS BIGINT),
       CAST(NULL AS BIGINT), CAST(NULL AS BIGINT)
FROM alone;

-- A client whom the cluster does not know gives way to one whom it does, whom the server saw.
CREATE OR REPLACE TEMPORARY VIEW known AS
SELECT conversation.protocol, server, first, last, packets, bytes, events, opened, connections, source, destination,
       (events & 262144) <> 0 AS syn, (events & 524288) <> 0 AS synack,
       CASE WHEN events >= 16777216 THEN 5 WHEN events >= 8388608 THEN 4 WHEN events >= 4194304 THEN 3
            WHEN events >= 2097152 THEN 2 WHEN events >= 1048576 THEN 1 ELSE 0 END AS told,
       CASE WHEN at_server <> client AND (near.place IS NULL OR last < near.met_from)
                 AND far.label >= 0 AND last >= far.met_from AND last < far.met_until
            THEN at_server ELSE client END AS client
FROM conversation
LEFT JOIN tenancy AS near ON near.place = client - client % 65536 AND first >= near.since AND first < near.until
                         AND at_server <> client
LEFT JOIN tenancy AS far ON far.place = at_server - at_server % 65536 AND first >= far.since AND first < far.until
                        AND at_server <> client
WHERE events < 1048576 OR packets > 0;

-- What became of it, as in netpol.flows.evidence: 0 established, 1 refused, 2 unanswered, 3 midstream.
CREATE OR REPLACE TEMPORARY VIEW judged AS
SELECT known.*,
       CASE WHEN protocol IN (6, 132) THEN
                CASE WHEN opened AND syn AND synack AND (events & 2) <> 0 THEN 0
                     WHEN NOT opened OR NOT syn THEN 3
                     WHEN NOT synack AND (events & 1026) <> 0 THEN 3
                     WHEN (events & 34952) <> 0 THEN 1
                     ELSE 2 END
            WHEN protocol IN (1, 58) THEN
                CASE WHEN (events & 32) <> 0 AND (events & 16384) <> 0 THEN 0
                     WHEN (events & 34952) <> 0 THEN 1 ELSE 2 END
            ELSE CASE WHEN (events & 257) = 257 THEN 0 WHEN (events & 34952) <> 0 THEN 1 ELSE 2 END END AS outcome
FROM known;

-- Who opened it, as far as it and the cluster say so: 255 asks the rest of the data.
CREATE OR REPLACE TEMPORARY VIEW shown AS
SELECT judged.*,
       CASE WHEN opened AND syn THEN 0
            WHEN opened AND synack AND (events & 514) <> 0 THEN 1
            WHEN judged.protocol IN (6, 17, 132) AND (events & 65536) <> 0 THEN 2
            WHEN judged.protocol IN (6, 17, 132) AND (server_port.tip IS NULL) <> (client_port.tip IS NULL) THEN 3
            WHEN outcome IN (0, 1) THEN 6
            WHEN judged.protocol NOT IN (6, 17, 132) THEN CASE WHEN (events & 16416) <> 0 THEN 0 ELSE 8 END
            ELSE 255 END AS direction,
       server_port.tip IS NULL AND client_port.tip IS NOT NULL AS server_first
FROM judged
LEFT JOIN declared AS client_port ON client_port.protocol = judged.protocol AND client_port.tip = client AND NOT syn
LEFT JOIN declared AS server_port ON server_port.protocol = judged.protocol AND server_port.tip = server AND NOT syn;

-- Where nobody knows who is the client, the ends stand in the order of their addresses.
CREATE OR REPLACE TEMPORARY VIEW faced AS
SELECT protocol, CASE WHEN swap THEN server ELSE client END AS client, CASE WHEN swap THEN client ELSE server END AS server,
       first, last, packets, bytes, events, told, outcome, direction, connections,
       CASE WHEN swap THEN destination ELSE source END AS source_known,
       CASE WHEN swap THEN source ELSE destination END AS destination_known
FROM (SELECT shown.*,
             CASE WHEN direction = 3 THEN server_first
                  WHEN direction = 8 THEN client - client % 65536 > server - server % 65536
                  ELSE false END AS swap
      FROM shown) AS facing;

-- kept
-- All that is alike added up, and who held the addresses at that time. What waits for the rest of the data keeps its port.
CREATE OR REPLACE TEMPORARY VIEW summed AS
SELECT protocol, CASE WHEN direction = 255 THEN client ELSE client - client % 65536 END AS client,
       CASE WHEN protocol IN (6, 17, 132) AND direction <> 8 THEN server ELSE server - server % 65536 END AS server,
       outcome, direction,
       CASE WHEN source_known IS NOT NULL THEN source_known WHEN last < source.met_from THEN -1
            WHEN last >= source.met_until THEN -2 ELSE coalesce(source.label, -1) END AS source,
       CASE WHEN destination_known IS NOT NULL THEN destination_known WHEN last < destination.met_from THEN -1
            WHEN last >= destination.met_until THEN -2 ELSE coalesce(destination.label, -1) END AS destination,
       CAST(sum(CASE WHEN told = outcome + 1 THEN 0 ELSE connections END) AS BIGINT) AS connections,
       CAST(sum(packets) AS BIGINT) AS packets, CAST(sum(bytes) AS BIGINT) AS bytes,
       min(first) AS first, max(last) AS last, max(CASE WHEN (events & 1028) = 1028 THEN 1 ELSE 0 END) AS two_way,
       max(CASE WHEN (events & 131072) <> 0 THEN CAST(1 AS BIGINT) ELSE 0 END) AS minutes
FROM faced
LEFT JOIN tenancy AS source ON source.place = client - client % 65536 AND first >= source.since AND first < source.until
                           AND source_known IS NULL
LEFT JOIN tenancy AS destination ON destination.place = server - server % 65536 AND first >= destination.since
                                AND first < destination.until AND destination_known IS NULL
GROUP BY 1, 2, 3, 4, 5, 6, 7;

CREATE OR REPLACE TEMPORARY VIEW waiting AS
SELECT * FROM summed WHERE direction = 255;

CREATE OR REPLACE TEMPORARY VIEW confirmed AS
SELECT DISTINCT protocol, server AS tip FROM summed WHERE outcome = 0 AND direction = 0 AND protocol IN (6, 17, 132);

CREATE OR REPLACE TEMPORARY VIEW met AS
SELECT protocol, tip, count(*) AS peers
FROM (SELECT protocol, one AS tip FROM (SELECT DISTINCT protocol, least(client, server) AS one,
                                               greatest(client, server) AS other FROM waiting) AS pair
      UNION ALL
      SELECT protocol, other FROM (SELECT DISTINCT protocol, least(client, server) AS one,
                                          greatest(client, server) AS other FROM waiting) AS pair) AS tips
GROUP BY protocol, tip;

-- Servers that other handshakes confirm; else ends that clearly more peers met; else a port that no client draws.
CREATE OR REPLACE TEMPORARY VIEW weighed AS
SELECT waiting.*,
       confirmed_client.tip IS NOT NULL AS client_confirmed, confirmed_server.tip IS NOT NULL AS server_confirmed,
       met_client.peers >= 3 AND met_client.peers >= 3 * met_server.peers AS client_met,
       met_server.peers >= 3 AND met_server.peers >= 3 * met_client.peers AS server_met,
       waiting.protocol <> 17 AND client % 65536 < 32768 AND server % 65536 >= 32768 AS client_low,
       (server % 65536 < 32768 AND client % 65536 >= 32768)
       OR (waiting.protocol = 17 AND (coalesce(six.multicast, false)
                                      OR (server >= 246290604621824 AND server < 263882790666240)
                                      OR (server >= 281474976645120 AND server < 281474976710656))) AS server_low
FROM waiting
LEFT JOIN confirmed AS confirmed_client ON confirmed_client.protocol = waiting.protocol AND confirmed_client.tip = client
LEFT JOIN confirmed AS confirmed_server ON confirmed_server.protocol = waiting.protocol AND confirmed_server.tip = server
LEFT JOIN met AS met_client ON met_client.protocol = waiting.protocol AND met_client.tip = client
LEFT JOIN met AS met_server ON met_server.protocol = waiting.protocol AND met_server.tip = server
LEFT JOIN six ON six.id * 65536 = server - server % 65536;

-- What was added up before, hour by hour.
CREATE OR REPLACE TEMPORARY VIEW rolled AS
SELECT CAST(of_protocol.number AS INT) AS protocol, of_client.id * 65536 AS client,
       of_server.id * 65536 + coalesce(CAST(port AS BIGINT), 0) AS server, CAST(of_outcome.number AS INT) AS outcome,
       CAST(of_direction.number AS INT) AS direction, connections, packets, bytes,
       unix_micros(CAST(first_seen AS TIMESTAMP)) * 1000 AS first, unix_micros(CAST(last_seen AS TIMESTAMP)) * 1000 AS last,
       CASE WHEN two_way THEN 1 ELSE 0 END AS two_way, minutes
FROM flows
JOIN address AS of_client ON of_client.text = flows.client
JOIN address AS of_server ON of_server.text = flows.server
JOIN word AS of_protocol ON of_protocol.kind = 'protocol' AND of_protocol.text = flows.protocol
JOIN word AS of_outcome ON of_outcome.kind = 'outcome' AND of_outcome.text = flows.outcome
JOIN word AS of_direction ON of_direction.kind = 'direction' AND of_direction.text = flows.direction;

CREATE OR REPLACE TEMPORARY VIEW decided AS
SELECT protocol, client, server, outcome, direction, source, destination, connections, packets, bytes, first, last,
       two_way, minutes, 0 AS used
FROM summed WHERE direction <> 255
UNION ALL
SELECT protocol, CASE WHEN swap THEN server ELSE client END, CASE WHEN swap THEN client ELSE server END, outcome,
       its_direction, CASE WHEN swap THEN destination ELSE source END, CASE WHEN swap THEN source ELSE destination END,
       connections, packets, bytes, first, last, two_way, minutes, 0
FROM (SELECT weighed.*,
             CASE WHEN client_confirmed <> server_confirmed THEN 4 WHEN client_met <> server_met THEN 5
                  WHEN client_low <> server_low THEN 7 ELSE 8 END AS its_direction,
             CASE WHEN client_confirmed <> server_confirmed THEN client_confirmed
                  WHEN client_met <> server_met THEN client_met
                  WHEN client_low <> server_low THEN client_low
                  ELSE client - client % 65536 > server - server % 65536 END AS swap
      FROM weighed) AS settled
UNION ALL
SELECT protocol, client, server, outcome, direction,
       CASE WHEN last < source.met_from THEN -1 WHEN last >= source.met_until THEN -2
            ELSE coalesce(source.label, -1) END,
       CASE WHEN last < destination.met_from THEN -1 WHEN last >= destination.met_until THEN -2
            ELSE coalesce(destination.label, -1) END,
       connections, packets, bytes, first, last, two_way, minutes, 1
FROM rolled
LEFT JOIN tenancy AS source ON source.place = client AND first >= source.since AND first < source.until
LEFT JOIN tenancy AS destination ON destination.place = server - server % 65536 AND first >= destination.since
                                AND first < destination.until;

-- A label from 2^32 on stands for all addresses that have it. `used` rows of added up hours are in each.
SELECT CASE WHEN source >= 4294967296 THEN -1 ELSE client - client % 65536 END AS client,
       CASE WHEN destination >= 4294967296 THEN -1 ELSE server - server % 65536 END AS server, protocol,
       CASE WHEN protocol IN (6, 17, 132) AND direction <> 8 THEN CAST(server % 65536 AS INT) ELSE -1 END AS port,
       outcome, source, destination,
       CAST(sum(connections) AS BIGINT) AS connections, CAST(sum(packets) AS BIGINT) AS packets,
       CAST(sum(bytes) AS BIGINT) AS bytes, min(first) AS first, max(last) AS last, min(direction) AS direction,
       max(two_way) AS two_way, bit_or(minutes) AS minutes, CAST(sum(used) AS BIGINT) AS used
FROM decided
GROUP BY 1, 2, 3, 4, 5, 6, 7
