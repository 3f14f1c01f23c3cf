// Reads the command list, and for each descriptor the constants and the input that it wants on chip; hands tiles on in order.
// It asks for the next descriptor when it has handed a tile on, and loads while the tiles before are computed.
module loader #(
  parameter int N = 16, BYL = 1, BXL = 2, DL = 10, WDL = 9,
  parameter int AL = 32,  // bits of addresses
  parameter bit ADD = 1, QUAD = 1,
  localparam int BY = 1 << BYL, BX = 1 << BXL, Q = N / 4, NL = $clog2(N), QL = $clog2(Q), CL = AL - 6
) (
  input  logic clk, rst,
  input  logic start,
  input  logic [AL-1:0] list,
  input  logic [CL-1:0] count,
  // external memory: answers come in order, at any time, and are always taken
  output logic rd_valid,
  input  logic rd_ready,
  output logic [AL-1:0] rd_addr,
  input  logic rsp_valid,
  input  logic [N*8-1:0] rsp_data,
  // what the others have done
  input  logic [CL-1:0] tiles_done,
  input  logic stores_idle,
  // to the memories
  output logic x_we,
  output logic [BY-1:0] x_row,
  output logic [BX-1:0] x_col,
  output logic [DL-1:0] x_addr,
  output logic [N-1:0] w_we,  // one lane
  output logic [WDL-1:0] w_addr,
  output logic params_we, params_scale,
  output logic [1:0] params_slot, params_beat,
  output logic table_we, table_slot,
  output logic [7:0] table_entry,
  output logic [31:0] table_data,
  output logic [N*8-1:0] data,
  // to the array
  output logic tile_valid,
  input  logic tile_ready,
  output tile_pkg::tile_t tile,
  output logic all_given,
  // refusals
  output logic [7:0] error,
  output logic [CL-1:0] index
);
  localparam int BEATS = 128 / N;

  // ---- the descriptor: each beat goes to its words
  logic [31:0] words[0:31];
  logic gathered, words_valid, words_checked, loaded;
  logic [1:0] judged;  // clocks since the words are here
  logic [7:0] verdict_q;
  logic [31:0] beat_sum, checksum;
  logic [1:0] settle;  // clocks until the checksum has taken in the last beat
  logic beat_valid;    // of the descriptor: `data`, and the words that are left with it
  logic [5:0] beats_left;
  logic spare_set;     // words that a descriptor leaves zero
  always_ff @(posedge clk)
    if (beat_valid) begin
      logic some;
      some = 0;
      for (int i = 0; i < 32; i++)
        if (32'(beats_left) == BEATS - i / Q) begin
          words[i] <= data[(i%Q)*32+:32];
          if (i > 20 && i < 31) some = some | (data[(i%Q)*32+:32] != 0);
        end
      spare_set <= some | (spare_set && 32'(beats_left) != BEATS);
    end
  wire [7:0] op = words[0][7:0];
  wire load_input = words[0][16], load_params = words[0][17], load_table = words[0][18], load_weights = words[0][19];
  wire first = words[0][20], last = words[0][21], table_on = words[0][22];
  wire fence = words[0][25];
  wire [15:0] rows = words[6][15:0], cols = words[6][31:16], planes = words[7][15:0];
  wire [15:0] w_count = words[10][31:16];

  always_comb begin
    tile = '0;
    tile.layer.op = op;
    tile.layer.x_unsigned = words[0][23];
    tile.layer.y_unsigned = words[0][24];
    tile.layer.table_on = table_on;
    tile.layer.table_slot = words[2][16];
    tile.layer.pad = words[17][7:0];
    tile.layer.zero = words[17][15:8];
    tile.layer.lo = words[17][23:16];
    tile.layer.hi = words[17][31:24];
    tile.layer.scale = words[19];
    tile.first = first;
    tile.last = last;
    tile.slot = words[2][9:8];
    tile.x_rows = rows;
    tile.x_cols = cols;
    tile.x_row_pitch = words[8][15:0];
    tile.x_plane_pitch = words[8][31:16];
    tile.x_base = words[18][15:0];
    tile.w_base = words[18][31:16];
    tile.sums_base = words[20][15:0];
    tile.planes = words[15][31:16];
    tile.y_addr = words[11];
    tile.y_pitch = words[12];
    tile.y_rows = words[13][15:0];
    tile.y_cols = words[13][31:16];
    {tile.stride_x, tile.stride_y, tile.kernel_x, tile.kernel_y} = words[14];
    {tile.pitch_x, tile.pitch_y} = words[15][15:0];
    {tile.origin_x, tile.origin_y} = words[16];
  end

  // ---- what is refused before anything is loaded
  function automatic logic bad_extent(input logic [15:0] extent);
    bad_extent = extent == 0 || extent >= 16'(tile_pkg::MAX_EXTENT);
  endfunction
  wire is_stamp = op == tile_pkg::OP_STAMP;
  wire [3:0] strides = (words[3][3:0] | words[4][3:0] | words[5][3:0] | words[9][3:0] | words[11][3:0] | words[12][3:0]) & 4'(N - 1);
  logic bad_sum;
  // In the order in which they are told; each a clock before the verdict.
  logic [8:0] faults;
  always_ff @(posedge clk) begin
    logic other;
    other = words[0][15:8] != 8'h54 || words[0][31:26] != 0 || words[2][31:24] != 0 || words[20][31:16] != 0 || spare_set;
    faults[0] <= bad_sum;
    faults[1] <= op == 0 || op > tile_pkg::OP_STAMP;
    faults[2] <= is_stamp && (load_input || load_params || load_table || load_weights)
      || (op == tile_pkg::OP_MAX || op == tile_pkg::OP_ADD) && !(first && last) || op == tile_pkg::OP_ADD && table_on;
    faults[3] <= other;
    faults[4] <= load_input && bad_extent(planes) || load_weights && w_count == 0;
    faults[5] <= !is_stamp && (bad_extent(rows) || bad_extent(cols) || bad_extent(tile.planes) || bad_extent(tile.y_rows)
      || bad_extent(tile.y_cols) || tile.kernel_y == 0 || tile.kernel_x == 0);
    faults[6] <= words[2][15:10] != 0 || words[2][23:17] != 0;
    faults[7] <= op == tile_pkg::OP_ADD && !ADD || op == tile_pkg::OP_QUAD && !QUAD;
    faults[8] <= strides != 0;
  end
  logic [7:0] verdict;
  always_comb begin
    verdict = tile_pkg::ERR_NONE;
    if (faults[8]) verdict = tile_pkg::ERR_ALIGNMENT;
    if (faults[7]) verdict = tile_pkg::ERR_FEATURE;
    if (faults[6]) verdict = tile_pkg::ERR_SLOT;
    if (faults[5] || faults[4]) verdict = tile_pkg::ERR_EXTENT;
    if (faults[3] || faults[2]) verdict = tile_pkg::ERR_RESERVED;
    if (faults[1]) verdict = tile_pkg::ERR_OPCODE;
    if (faults[0]) verdict = tile_pkg::ERR_CHECKSUM;
  end

  // ---- asking
  typedef enum logic [3:0] {IDLE, DESCRIPTOR, CHECK, ROOM, PARAMS, TABLE, WEIGHTS, FENCE, INPUT, NEXT} ask_t;
  ask_t ask;
  logic [CL-1:0] asked;
  logic [AL-1:0] list_at, at, row_at, plane_at;
  logic [15:0] left, rows_left, planes_left;
  logic [NL:0] beat;     // within a weight word, or a repeat of a table's beat
  // Registered comparisons: the last beat of `left`, row, plane.
  logic turn_end, row_end, plane_end;
  logic one_weight, one_row, one_col, one_plane;
  wire sent = rd_valid & rd_ready;
  assign rd_valid = ask == DESCRIPTOR || ask == PARAMS || ask == TABLE || ask == WEIGHTS || ask == INPUT;
  assign rd_addr = ask == DESCRIPTOR ? list_at : at;
  // What only grows truer while it is waited for, a clock late.
  logic near, none, all_asked;
  always_ff @(posedge clk) begin
    near <= index - tiles_done <= CL'(words[2][7:0]);
    none <= index == tiles_done;
    all_asked <= asked == count;
    one_weight <= w_count == 1;
    one_row <= rows == 1;
    one_col <= cols == 1;
    one_plane <= planes == 1;
  end

  always_ff @(posedge clk) begin
    case (ask)
      IDLE: if (start && count != 0) begin
        ask <= DESCRIPTOR;
        list_at <= list;
        asked <= 0;
        left <= 16'(BEATS);
        turn_end <= 0;
      end
      DESCRIPTOR: if (sent) begin
        list_at <= list_at + AL'(N);
        left <= left - 1;
        turn_end <= left == 2;
        if (turn_end) begin
          asked <= asked + 1;
          ask <= CHECK;
        end
      end
      CHECK: if (words_checked && !loaded) ask <= ROOM;
      ROOM: begin
        at <= words[9][AL-1:0];
        beat <= 0;
        if (near) ask <= after(ROOM);
        left <= load_params ? 16'd8 : load_table ? 16'd256 : w_count;
        turn_end <= ~load_params & ~load_table & one_weight;
      end
      PARAMS: if (sent) begin
        at <= at + AL'(N);
        left <= turn_end ? (load_table ? 16'd256 : w_count) : left - 1;
        turn_end <= turn_end ? ~load_table & one_weight : left == 2;
        if (turn_end) ask <= after(PARAMS);
      end
      TABLE: if (sent) begin  // every beat as often as it has entries
        beat <= 32'(beat) == Q - 1 ? 0 : beat + 1;
        if (32'(beat) == Q - 1) at <= at + AL'(N);
        left <= turn_end ? w_count : left - 1;
        turn_end <= turn_end ? one_weight : left == 2;
        if (turn_end) ask <= after(TABLE);
      end
      WEIGHTS: if (sent) begin
        at <= at + AL'(N);
        beat <= 32'(beat) == N - 1 ? 0 : beat + 1;
        if (32'(beat) == N - 1) begin
          left <= left - 1;
          turn_end <= left == 2;
          if (turn_end) ask <= FENCE;
        end
      end
      FENCE: begin
        at <= words[3][AL-1:0];
        row_at <= words[3][AL-1:0];
        plane_at <= words[3][AL-1:0];
        left <= cols;
        rows_left <= rows;
        planes_left <= planes;
        turn_end <= one_col;
        row_end <= one_row;
        plane_end <= one_plane;
        if (!load_input) ask <= NEXT;
        else if (!fence || (none && stores_idle)) ask <= INPUT;
      end
      INPUT: if (sent) begin
        at <= at + AL'(N);
        left <= left - 1;
        turn_end <= left == 2;
        if (turn_end) begin
          left <= cols;
          turn_end <= one_col;
          at <= row_at + words[5][AL-1:0];
          row_at <= row_at + words[5][AL-1:0];
          rows_left <= rows_left - 1;
          row_end <= rows_left == 2;
          if (row_end) begin
            rows_left <= rows;
            row_end <= one_row;
            at <= plane_at + words[4][AL-1:0];
            row_at <= plane_at + words[4][AL-1:0];
            plane_at <= plane_at + words[4][AL-1:0];
            planes_left <= planes_left - 1;
            plane_end <= planes_left == 2;
            if (plane_end) ask <= NEXT;
          end
        end
      end
      NEXT: begin
        left <= 16'(BEATS);
        turn_end <= 0;
        if (all_asked) ask <= IDLE;
        else if (!words_valid) ask <= DESCRIPTOR;
      end
      default: ask <= IDLE;
    endcase
    if (rst) ask <= IDLE;
  end

  function automatic ask_t after(input ask_t part);
    after = FENCE;
    if (load_weights) after = WEIGHTS;
    if (load_table && (part == ROOM || part == PARAMS)) after = TABLE;
    if (load_params && part == ROOM) after = PARAMS;
  endfunction

  // ---- answers, in the order they were asked for
  typedef enum logic [2:0] {A_DESCRIPTOR, A_CHECK, A_PARAMS, A_TABLE, A_WEIGHTS, A_INPUT} answer_t;
  answer_t answer;
  logic [15:0] got, rows_got, planes_got;
  logic [NL-1:0] lane;
  logic [15:0] x_now, x_row_now, x_plane_now, w_now;
  logic [BY-1:0] row_bit;
  logic [BX-1:0] col_bit;
  logic got_end, got_row_end, got_plane_end;  // as above
  logic x_over, w_over;

  function automatic answer_t then(input answer_t part);
    then = A_DESCRIPTOR;
    if (load_input && part != A_INPUT) then = A_INPUT;
    if (load_weights && part != A_WEIGHTS && part != A_INPUT) then = A_WEIGHTS;
    if (load_table && (part == A_CHECK || part == A_PARAMS)) then = A_TABLE;
    if (load_params && part == A_CHECK) then = A_PARAMS;
  endfunction
  function automatic logic [15:0] beats_of(input answer_t part);
    case (part)
      A_PARAMS: beats_of = 16'd8;
      A_TABLE: beats_of = 16'd256;
      A_WEIGHTS: beats_of = w_count;
      A_INPUT: beats_of = cols;
      default: beats_of = 16'(BEATS);
    endcase
  endfunction
  function automatic logic one_beat(input answer_t part);
    one_beat = part == A_WEIGHTS ? one_weight : part == A_INPUT && one_col;
  endfunction
  wire unit_end = got_end && (answer != A_WEIGHTS || 32'(lane) == N - 1)
    && (answer != A_INPUT || (got_row_end && got_plane_end));
  wire [15:0] row_after = row_bit[BY-1] ? x_row_now + words[8][15:0] : x_row_now;
  wire [15:0] plane_after = x_plane_now + words[8][31:16];

  always_ff @(posedge clk) begin
    if (settle != 0) settle <= settle - 1;
    if (answer == A_CHECK) begin
      if (words_checked && !loaded) begin
        answer <= then(A_CHECK);
        got <= beats_of(then(A_CHECK));
        got_end <= one_beat(then(A_CHECK));
        if (then(A_CHECK) == A_DESCRIPTOR) loaded <= 1;
      end
      lane <= 0;
      rows_got <= rows;
      planes_got <= planes;
      got_row_end <= one_row;
      got_plane_end <= one_plane;
      w_now <= words[10][15:0];
      x_now <= words[7][31:16];
      x_row_now <= words[7][31:16];
      x_plane_now <= words[7][31:16];
      row_bit <= 1;
      col_bit <= 1;
    end else if (rsp_valid) begin
      got <= got - 1;
      got_end <= got == 2;
      if (answer == A_WEIGHTS) begin
        lane <= lane + 1;
        if (32'(lane) == N - 1) w_now <= w_now + 1;
        else begin
          got <= got;
          got_end <= got_end;
        end
      end
      if (answer == A_INPUT) begin
        col_bit <= BX'({col_bit, col_bit} >> (BX - 1));
        if (col_bit[BX-1]) x_now <= x_now + 1;
        if (got_end) begin
          got <= cols;
          got_end <= one_col;
          col_bit <= 1;
          rows_got <= rows_got - 1;
          got_row_end <= rows_got == 2;
          row_bit <= BY'({row_bit, row_bit} >> (BY - 1));
          x_now <= row_after;
          x_row_now <= row_after;
          if (got_row_end) begin
            rows_got <= rows;
            got_row_end <= one_row;
            row_bit <= 1;
            planes_got <= planes_got - 1;
            got_plane_end <= planes_got == 2;
            x_now <= plane_after;
            x_row_now <= plane_after;
            x_plane_now <= plane_after;
          end
        end
      end
      if (unit_end) begin
        if (answer == A_DESCRIPTOR) begin
          answer <= A_CHECK;
          gathered <= 1;
          settle <= 2;
        end else begin
          answer <= then(answer);
          got <= beats_of(then(answer));
          got_end <= one_beat(then(answer));
          if (then(answer) == A_DESCRIPTOR) loaded <= 1;
        end
      end
    end
    if (gathered && settle == 0) begin
      words_valid <= 1;
      gathered <= 0;
    end
    judged <= words_valid ? {judged[0], 1'b1} : 2'b00;
    verdict_q <= verdict;
    words_checked <= words_valid && judged[1] && verdict_q == tile_pkg::ERR_NONE;
    if (words_valid && judged[1] && verdict_q != tile_pkg::ERR_NONE && error == tile_pkg::ERR_NONE) error <= verdict_q;
    if (x_over) error <= tile_pkg::ERR_ACTIVATIONS;
    if (w_over) error <= tile_pkg::ERR_WEIGHTS;
    if (tile_valid && tile_ready) begin
      words_valid <= 0;
      words_checked <= 0;
      judged <= 0;
      loaded <= 0;
      index <= index + 1;
    end
    if (rst || start) begin
      answer <= A_DESCRIPTOR;
      got <= 16'(BEATS);
      got_end <= 0;
      gathered <= 0;
      words_valid <= 0;
      words_checked <= 0;
      judged <= 0;
      loaded <= 0;
      settle <= 0;
    end
    if (start) begin
      index <= 0;
      error <= tile_pkg::ERR_NONE;
    end
  end
  logic loaded_q;  // what was loaded last is in its memory a clock later
  always_ff @(posedge clk) loaded_q <= loaded & ~(tile_valid & tile_ready) & ~rst;
  assign tile_valid = loaded & loaded_q & words_checked & (error == tile_pkg::ERR_NONE);
  assign all_given = index == count;

  // The checksum: the words of a beat, then their sum.
  always_ff @(posedge clk) begin
    logic [31:0] sum;
    sum = 0;
    for (int i = 0; i < Q; i++) sum = sum + rsp_data[i*32+:32];
    beat_sum <= sum;
    beat_valid <= rsp_valid && answer == A_DESCRIPTOR && !rst;
    beats_left <= got[5:0];
    if (beat_valid) checksum <= checksum + beat_sum;
    if (gathered && settle == 0) begin
      bad_sum <= checksum != 0;
      checksum <= 0;
    end
    if (rst || start) checksum <= 0;
  end

  // ---- to the memories, registered
  wire [7:0] entry = 8'd0 - got[7:0];  // 256 are got
  always_ff @(posedge clk) begin
    data <= rsp_data;
    x_we <= rsp_valid && answer == A_INPUT && !rst;
    x_row <= row_bit;
    x_col <= col_bit;
    x_addr <= x_now[DL-1:0];
    x_over <= rsp_valid && answer == A_INPUT && |x_now[15:DL] && !rst;
    for (int i = 0; i < N; i++) w_we[i] <= rsp_valid && answer == A_WEIGHTS && 32'(lane) == i && !rst;
    w_addr <= w_now[WDL-1:0];
    w_over <= rsp_valid && answer == A_WEIGHTS && |w_now[15:WDL] && !rst;
    params_we <= rsp_valid && answer == A_PARAMS && !rst;
    params_scale <= got <= 4;
    params_beat <= 2'd0 - got[1:0];
    params_slot <= words[2][9:8];
    table_we <= rsp_valid && answer == A_TABLE && !rst;
    table_slot <= words[2][16];
    table_entry <= entry;
    table_data <= rsp_data[(32'(entry) % Q)*32+:32];
  end
  wire unused = &{1'b0, words[1], words[31], QL == 0};

`ifndef SYNTHESIS
  always_ff @(posedge clk)
    if (!rst && rsp_valid) a_no_answer_without_a_question : assert (answer != A_CHECK);
`endif
endmodule
