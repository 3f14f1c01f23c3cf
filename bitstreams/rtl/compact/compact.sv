// The small engine: the list, layouts and registers of ../README.md with 4 lanes, one thing after the other. What is on chip is in
// one memory; the array is four products wide and walks through the lanes.
module compact #(
  parameter int AL = 32  // bits of addresses: what memory has
) (
  input  logic clk, rst,
  // registers: 32-bit words; what is read is there a clock later
  input  logic reg_valid, reg_write,
  input  logic [7:0] reg_addr,
  /* verilator lint_off UNUSEDSIGNAL */
  input  logic [31:0] reg_wdata,
  /* verilator lint_on UNUSEDSIGNAL */
  output logic [31:0] reg_rdata,
  // external memory, in words of 4 bytes at byte addresses
  output logic rd_valid,
  input  logic rd_ready,
  output logic [AL-1:0] rd_addr,
  input  logic rsp_valid,
  input  logic [31:0] rsp_data,
  output logic wr_valid,
  input  logic wr_ready,
  output logic [AL-1:0] wr_addr,
  output logic [31:0] wr_data,
  output logic busy
);
  localparam int CL = AL - 6;                       // bits of a number of descriptors: more than memory holds
  localparam int DL = 13, WDL = 10, SUMSL = 9;      // activations, weights of 4 words, sums of 4 words
  // Where they are in the memory on chip, 2^14 words.
  localparam logic [0:0] ACTIVATIONS = 1'b0;
  localparam logic [1:0] WEIGHTS = 2'b10;
  localparam logic [2:0] SUMS = 3'b110;
  localparam logic [4:0] TABLES = 5'b11100;
  localparam logic [8:0] PARAMS = 9'b111010000;

  // READY: no list. DESCRIPTOR, CHECK: the next one is read and judged. PART, LOAD: what it loads. BEGIN, STEP: sums of a pixel; then of each
  // lane BIAS (read), TOTAL, SCALE (read), TERM (read), RESCALE, LOOKUP; WORD and STAMP write. CLEAR: after a refusal.
  typedef enum logic [3:0] {
    READY, DESCRIPTOR, CHECK, PART, LOAD, BEGIN, STEP, BIAS, TOTAL, SCALE, TERM, RESCALE, LOOKUP, WORD, STAMP, CLEAR
  } state_t;
  state_t state;
  assign busy = state != READY;

  // ---- registers
  logic [AL-1:0] list;
  logic [CL-1:0] count, tiles, error_index;
  logic [31:0] cycles, steps, wait_load, wait_drain, wait_room, reads, writes;
  logic [7:0] error;
  logic done;
  wire order = reg_valid && reg_write && reg_addr == 8'h08;
  wire start = order && reg_wdata[0] && state == READY;
  wire stop = order && reg_wdata[1];
  always_ff @(posedge clk) begin
    if (reg_valid && reg_write && reg_addr == 8'h0c) list <= reg_wdata[AL-1:0];
    if (reg_valid && reg_write && reg_addr == 8'h0d) count <= reg_wdata[CL-1:0];
    if (rst) begin
      list <= 0;
      count <= 0;
    end
    case (reg_addr)
      8'h00: reg_rdata <= tile_pkg::ID;
      8'h01: reg_rdata <= tile_pkg::ABI;
      8'h02: reg_rdata <= {6'd0, 2'b11, 4'd0, 4'd0, 8'd0, 8'd4};  // QUAD, ADD, banks, results a clock: fewer than 1, lanes
      8'h03: reg_rdata <= 32'd1 << DL;
      8'h04: reg_rdata <= 32'd1 << WDL;
      8'h05: reg_rdata <= 32'd1 << SUMSL;
      8'h06: reg_rdata <= {16'(tile_pkg::TABLE_SLOTS), 16'(tile_pkg::PARAM_SLOTS)};
      8'h09: reg_rdata <= {29'd0, error != 0, done, busy};
      8'h0a: reg_rdata <= 32'(error);
      8'h0b: reg_rdata <= 32'(error_index);
      8'h0c: reg_rdata <= 32'(list);
      8'h0d: reg_rdata <= 32'(count);
      8'h10: reg_rdata <= cycles;
      8'h11: reg_rdata <= steps;
      8'h12: reg_rdata <= wait_load;
      8'h13: reg_rdata <= wait_drain;
      8'h14: reg_rdata <= wait_room;
      8'h15: reg_rdata <= reads;
      8'h16: reg_rdata <= writes;
      8'h17: reg_rdata <= 32'(tiles);
      default: reg_rdata <= 0;
    endcase
  end

  // ---- the descriptor
  tile_pkg::tile_t tile;
  logic load_input, load_params, load_table, load_weights;
  logic [AL-1:0] x, x_plane, x_row, constants;
  logic [11:0] x_planes;
  logic [15:0] x_to, w_to, w_count;
  logic [7:0] verdict;
  logic [17:0] left;  // words of a part, or of a row
  fields #(.AL(AL)) u_fields (
    .clk, .we(rsp_valid && state == DESCRIPTOR), .at(5'd0 - left[4:0]), .data(rsp_data), .tile, .load_input, .load_params,
    .load_table, .load_weights, .x, .x_plane, .x_row, .constants, .x_planes, .x_to, .w_to, .w_count, .verdict);
  wire is_stamp = tile.layer.op == tile_pkg::OP_STAMP;
  wire adding = tile.layer.op == tile_pkg::OP_ADD, largest = tile.layer.op == tile_pkg::OP_MAX;

  // ---- steps
  logic [2:0] phase;  // of a step: 7 its address, 0 or 5 its pixel, 1 to 4 its weights, a lane each; data come a clock later
  logic walk_start, walk_next, fresh, pixel_end, x_end, y_end, hits;
  logic [15:0] x_at, w_at, sums_at;
  walk u_walk (
    .clk, .tile, .start(walk_start), .next(walk_next), .fresh, .pixel_end, .x_end, .y_end, .hits, .at(x_at), .weight(w_at),
    .sums(sums_at));
  assign walk_start = state == BEGIN;
  logic hit, first;
  logic [9:0] w_now;
  logic [31:0] pixel;
  wire [31:0] flip = {4{tile.layer.x_unsigned && !adding, 7'd0}};

  // ---- memory on chip
  logic m_we;
  logic [13:0] m_at;
  logic [31:0] m_wd, m_rd;
  single #(.W(32), .DL(14)) u_memory (.clk, .we(m_we), .at(m_at), .wd(m_wd), .rd(m_rd));

  // ---- sums and results
  logic [1:0] lane;
  /* verilator lint_off UNUSEDSIGNAL */
  logic [31:0] front;
  /* verilator lint_on UNUSEDSIGNAL */
  logic [31:0] total, word;
  wire lane_ends;
  dot u_dot (
    .clk, .x(pixel), .w(m_rd), .lane(phase[1:0] ^ 2'd2), .depthwise(tile.layer.op == tile_pkg::OP_DEPTHWISE), .max(largest),
    .add(adding), .step(state == STEP && phase >= 2 && phase <= 5), .first, .other(m_rd), .turn(lane_ends), .front, .total);
  logic rescaled;
  logic signed [7:0] q;
  wire [31:0] operand = {{24{front[7] & ~tile.layer.x_unsigned}}, front[7:0]};
  rescale u_rescale (
    .clk, .rst(rst || state == CLEAR), .start(state == TOTAL && tile.last), .acc(adding ? operand : total), .add(adding),
    .scale(adding ? tile.layer.scale : m_rd), .t(m_rd), .zero(tile.layer.zero), .lo(tile.layer.lo), .hi(tile.layer.hi),
    .done(rescaled), .q);
  wire [7:0] result = q ^ {tile.layer.y_unsigned, 7'd0};
  assign lane_ends = state == TOTAL && !tile.last || state == RESCALE && rescaled && !tile.layer.table_on || state == LOOKUP;
  wire kept_ends = state == TOTAL && !tile.last && lane == 3;
  wire pixel_ends = kept_ends || state == WORD && wr_ready;
  assign walk_next = state == STEP && phase == 3 && !pixel_end || pixel_ends;

  // ---- where what is loaded goes
  typedef enum logic [1:0] {L_PARAMS, L_TABLE, L_WEIGHTS, L_INPUT} part_t;
  part_t part;
  logic [17:0] to;
  logic [3:0] todo;  // parts that are still to be loaded
  always_comb begin
    m_we = 0;
    m_wd = rsp_data;
    case (state)
      LOAD: begin
        m_we = rsp_valid;
        case (part)
          L_PARAMS: m_at = {PARAMS, to[4:0]};
          L_TABLE: m_at = {TABLES, to[8:0]};
          L_WEIGHTS: m_at = {WEIGHTS, to[11:0]};
          default: m_at = {ACTIVATIONS, to[12:0]};
        endcase
      end
      STEP: m_at = phase == 0 || phase == 5 ? {ACTIVATIONS, x_at[12:0]} : {WEIGHTS, phase == 1 ? w_at[9:0] : w_now, phase[1:0] - 2'd1};
      BIAS: m_at = tile.first ? {PARAMS, tile.slot, 1'b0, lane} : {SUMS, sums_at[8:0], lane};
      TOTAL: begin
        m_we = !tile.last;
        m_wd = total;
        m_at = tile.last ? {PARAMS, tile.slot, 1'b1, lane} : {SUMS, sums_at[8:0], lane};
      end
      default: m_at = {TABLES, tile.layer.table_slot, state == SCALE ? front[15:8] : result};
    endcase
  end

  // ---- external memory
  logic owed;  // an answer
  logic [AL-1:0] list_at, at, row_at, plane_at, y_at, y_row;
  logic [15:0] to_row, to_plane;
  logic [11:0] rows_left, planes_left;
  wire loads = state == DESCRIPTOR || state == LOAD;
  assign rd_valid = loads && !owed;
  assign rd_addr = state == DESCRIPTOR ? list_at : at;
  assign wr_valid = state == WORD || state == STAMP;
  assign wr_addr = y_at;
  always_comb begin
    wr_data = word;
    if (state == STAMP)
      case (lane)
        2'd0: wr_data = cycles;
        2'd1: wr_data = steps;
        2'd2: wr_data = reads;
        default: wr_data = writes;
      endcase
  end
  wire read = rd_valid & rd_ready, written = wr_valid & wr_ready;
  wire tile_ends = pixel_ends && x_end && y_end || state == STAMP && wr_ready && lane == 3;
  wire last_word = left == 1;

  // ---- what is refused while it is at work
  wire steps_now = state == STEP && (phase == 0 || phase == 5 && !pixel_end_q);
  logic pixel_end_q;
  logic [7:0] fault, fault_q;  // looked at a clock later
  always_ff @(posedge clk) fault_q <= rst ? tile_pkg::ERR_NONE : fault;
  always_comb begin
    fault = tile_pkg::ERR_NONE;
    if (state == BIAS && !(tile.first && tile.last) && |sums_at[15:SUMSL]) fault = tile_pkg::ERR_SUMS;
    if (steps_now && !largest && !adding && |w_at[15:WDL]) fault = tile_pkg::ERR_WEIGHTS;
    if (steps_now && hits && |x_at[15:DL]) fault = tile_pkg::ERR_ACTIVATIONS;
    if (state == LOAD && rsp_valid && part == L_INPUT && |to[15:DL]) fault = tile_pkg::ERR_ACTIVATIONS;
    if (state == LOAD && rsp_valid && part == L_WEIGHTS && |to[17:WDL+2]) fault = tile_pkg::ERR_WEIGHTS;
    if (state == CHECK) fault = verdict;
    if (stop && fault == tile_pkg::ERR_NONE) fault = tile_pkg::ERR_STOPPED;
  end

  always_ff @(posedge clk) begin
    if (read) owed <= 1;
    if (rsp_valid) owed <= 0;
    case (state)
      READY: if (start) begin
        state <= count == 0 ? READY : DESCRIPTOR;
        done <= count == 0;
        error <= 0;
        tiles <= 0;
        list_at <= list;
        left <= 18'd32;
      end
      DESCRIPTOR: if (rsp_valid) begin
        list_at <= list_at + AL'(4);
        left <= left - 1;
        if (last_word) state <= CHECK;
      end
      CHECK: begin
        at <= constants;
        row_at <= x;
        plane_at <= x;
        rows_left <= tile.x_rows[11:0];
        planes_left <= x_planes;
        to_row <= x_to;
        to_plane <= x_to;
        todo <= {load_input, load_weights, load_table, load_params};
        state <= PART;
      end
      PART: begin
        state <= LOAD;
        if (todo[0]) begin
          part <= L_PARAMS;
          to <= {13'd0, tile.slot, 3'd0};
          left <= 18'd8;
        end else if (todo[1]) begin
          part <= L_TABLE;
          to <= {9'd0, tile.layer.table_slot, 8'd0};
          left <= 18'd256;
        end else if (todo[2]) begin
          part <= L_WEIGHTS;
          to <= {w_to, 2'd0};
          left <= {w_count, 2'd0};
        end else if (todo[3]) begin
          part <= L_INPUT;
          to <= {2'd0, x_to};
          left <= {2'd0, tile.x_cols};
          at <= x;
        end else state <= BEGIN;
      end
      LOAD: if (rsp_valid) begin
        at <= at + AL'(4);
        to <= to + 1;
        left <= left - 1;
        if (last_word) begin
          if (part != L_INPUT) begin
            todo <= todo & ~(4'd1 << part);
            state <= PART;
          end else begin
            left <= {2'd0, tile.x_cols};
            rows_left <= rows_left - 1;
            at <= row_at + x_row;
            row_at <= row_at + x_row;
            to <= {2'd0, to_row + tile.x_row_pitch};
            to_row <= to_row + tile.x_row_pitch;
            if (rows_left == 1) begin
              rows_left <= tile.x_rows[11:0];
              at <= plane_at + x_plane;
              row_at <= plane_at + x_plane;
              plane_at <= plane_at + x_plane;
              to <= {2'd0, to_plane + tile.x_plane_pitch};
              to_row <= to_plane + tile.x_plane_pitch;
              to_plane <= to_plane + tile.x_plane_pitch;
              planes_left <= planes_left - 1;
              if (planes_left == 1) state <= BEGIN;
            end
          end
        end
      end
      BEGIN: begin
        y_at <= tile.y_addr[AL-1:0];
        y_row <= tile.y_addr[AL-1:0];
        lane <= 0;
        phase <= 7;
        state <= is_stamp ? STAMP : STEP;
      end
      STEP: begin
        phase <= phase == 5 ? 3'd1 : phase + 1;  // 7, then 0
        if (phase == 0 || phase == 5) hit <= hits;
        if (phase == 1) begin
          for (int i = 0; i < 4; i++) pixel[i*8+:8] <= hit ? m_rd[i*8+:8] ^ flip[i*8+:8] : tile.layer.pad;
          first <= fresh;
          w_now <= w_at[9:0];
          pixel_end_q <= pixel_end;
        end
        if (phase == 5 && pixel_end_q) begin
          phase <= 7;
          state <= BIAS;
        end
      end
      BIAS: state <= TOTAL;
      TOTAL: state <= tile.last ? SCALE : BIAS;
      SCALE: state <= TERM;
      TERM: state <= RESCALE;
      RESCALE: if (rescaled) state <= tile.layer.table_on ? LOOKUP : BIAS;
      LOOKUP: state <= BIAS;
      WORD: if (wr_ready) begin
        y_at <= x_end ? y_row + tile.y_pitch[AL-1:0] : y_at + AL'(4);
        if (x_end) y_row <= y_row + tile.y_pitch[AL-1:0];
      end
      STAMP: if (wr_ready) begin
        lane <= lane + 1;
        y_at <= y_at + AL'(4);
      end
      default: if (!owed) state <= READY;
    endcase
    if (lane_ends) begin
      word <= {state == LOOKUP ? m_rd[7:0] : result, word[31:8]};
      lane <= lane + 1;
      if (lane == 3 && tile.last) state <= WORD;
    end
    if (pixel_ends) state <= STEP;
    if (tile_ends) begin
      tiles <= tiles + 1;
      left <= 18'd32;
      done <= tiles + 1 == count;
      state <= tiles + 1 == count ? READY : DESCRIPTOR;
    end
    if (fault_q != tile_pkg::ERR_NONE && busy && state != CLEAR) begin
      error <= fault_q;
      error_index <= tiles;
      done <= 0;
      state <= CLEAR;
    end
    if (rst) begin
      state <= READY;
      done <= 0;
      error <= 0;
      error_index <= 0;
      owed <= 0;
    end
  end

  // ---- counters: words of stamps are not counted
  wire [31:0] zero = {32{!start}};
  always_ff @(posedge clk)
    if (busy || start) begin
      cycles <= zero & (cycles + 1);
      steps <= zero & (steps + 32'(state == STEP && phase == 1));
      wait_load <= zero & (wait_load + 32'(loads || state == CHECK || state == PART || state == BEGIN));
      wait_drain <= zero & (wait_drain + 32'(state >= BIAS && state <= LOOKUP));
      wait_room <= zero & (wait_room + 32'(state == WORD && !wr_ready));
      reads <= zero & (reads + 32'(read));
      writes <= zero & (writes + 32'(written && state == WORD));
    end

`ifndef SYNTHESIS
  always_ff @(posedge clk)
    if (!rst) a_memory_owes_no_more_than_asked : assert (!(rsp_valid && !owed));
`endif
endmodule
