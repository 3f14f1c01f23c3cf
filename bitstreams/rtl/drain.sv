// What becomes of a pixel's sums: NRQ lanes a clock they get their bias, or the sums of the tiles before; then they are kept,
// or requantized, looked up in the table and gathered to a word.
module drain #(
  parameter int N = 16, NRQ = 8, SUMSL = 8,
  parameter bit ADD = 1,
  localparam int D = N / NRQ, DL = $clog2(D)
) (
  input  logic clk, rst,
  /* verilator lint_off UNUSEDSIGNAL */
  input  tile_pkg::layer_t layer,
  /* verilator lint_on UNUSEDSIGNAL */
  // a pixel's sums, a clock after `take`
  input  logic take,
  input  logic [N*32-1:0] sums,
  input  tile_pkg::tag_t tag,
  // parameters: beats of N/4 lanes, biases first
  input  logic params_we, params_scale,
  input  logic [1:0] params_slot,
  input  logic [1:0] params_beat,
  input  logic [N*8-1:0] params_data,
  // tables, an entry a clock
  input  logic table_we, table_wslot,
  input  logic [7:0] table_entry,
  /* verilator lint_off UNUSEDSIGNAL */
  input  logic [31:0] table_data,
  /* verilator lint_on UNUSEDSIGNAL */
  // results
  output logic word_valid,
  output logic [N*8-1:0] word,
  output logic word_ends_tile,
  output logic kept_valid, kept_ends_tile,  // a pixel's sums were kept
  output logic out_of_range
);
  localparam int SL = DL > 0 ? DL : 1;           // width of a step's number
  localparam int PDL = 2 + SL;                   // slot and step
  localparam int Q = N / 4;                      // lanes of a beat of parameters
  localparam int LAT = ADD ? 23 : 16;            // of requant
  localparam int TW = ADD ? 32 : 8;              // bits of a table's entry

  // 0: the sums leave, lowest lanes first
  logic [N*32-1:0] left;
  logic [7:0] count;
  logic [SL-1:0] step;
  tile_pkg::tag_t now;
  wire [N*32-1:0] after = left >> (32 * NRQ);
  logic take_now;
  logic [N/4-1:0] take_group;
  always_ff @(posedge clk) take_now <= take & ~rst;
  for (genvar g = 0; g < N / 4; g++) begin : g_left
    copy #(.W(1)) u_take (.clk, .d(take), .q(take_group[g]));
    always_ff @(posedge clk) left[g*128+:128] <= take_group[g] ? sums[g*128+:128] : after[g*128+:128];
  end
  always_ff @(posedge clk) begin
    if (take_now) begin
      now <= tag;
      count <= 8'(D);
      step <= 0;
    end else begin
      step <= step + 1;
      if (count != 0) count <= count - 1;
    end
    if (rst) count <= 0;
  end
  wire active = count != 0, final_step = count == 1;
  wire [SUMSL+SL-1:0] sums_at = {now.sums[SUMSL-1:0], step};

  // 1, 2: parameters and kept sums are read
  logic [NRQ*32-1:0] v1, v2;
  logic a1, a2, f1, f2;
  tile_pkg::tag_t g1, g2;
  logic [SUMSL+SL-1:0] at1, at2;
  always_ff @(posedge clk) begin
    v1 <= left[NRQ*32-1:0];
    v2 <= v1;
    {a1, f1, g1, at1} <= {active & ~rst, final_step, now, sums_at};
    {a2, f2, g2, at2} <= {a1 & ~rst, f1, g1, at1};
  end
  // 3: the whole sum
  logic a3, f3;
  /* verilator lint_off UNUSEDSIGNAL */
  tile_pkg::tag_t g3;
  /* verilator lint_on UNUSEDSIGNAL */
  logic [SUMSL+SL-1:0] at3;
  logic [NRQ*32-1:0] v3;
  always_ff @(posedge clk) {a3, f3, g3, at3} <= {a2 & ~rst, f2, g2, at2};
  wire keep3 = a3 & ~g3.last;
  always_ff @(posedge clk)
    out_of_range <= a3 & ~(g3.first & g3.last) & |g3.sums[15:SUMSL];

  // Results are valid LAT + 2 clocks after 3: the requantizer and the table.
  logic va, fa, ea;
  delay #(.W(3), .LAT(LAT + 2)) u_valid (.clk, .d({a3 & g3.last, f3, g3.end_of_tile}), .q({va, fa, ea}));

  logic adding;
  always_ff @(posedge clk) adding <= ADD && layer.op == tile_pkg::OP_ADD;
  wire [7:0] flip = layer.y_unsigned ? 8'h80 : 8'h00;
  logic [NRQ*8-1:0] bytes;
  for (genvar u = 0; u < NRQ; u++) begin : g_unit
    // lanes of a beat: beat * Q + i; unit: lane mod NRQ; step: lane div NRQ
    localparam int BEAT = u / Q;  // among the beats that make a step
    wire mine = params_we && ((32'(params_beat) * Q) % NRQ) / Q == BEAT;
    wire [PDL-1:0] params_at = {params_slot, SL'((32'(params_beat) * Q) / NRQ)};
    wire [31:0] param = params_data[(u % Q)*32+:32];
    logic [31:0] bias2, scale2, kept2, scale3;
    ram #(.W(32), .DL(PDL)) u_bias (.clk, .we(mine & ~params_scale), .wa(params_at), .wd(param), .ra({now.slot, step}), .rd(bias2));
    ram #(.W(32), .DL(PDL)) u_scale (.clk, .we(mine & params_scale), .wa(params_at), .wd(param), .ra({now.slot, step}), .rd(scale2));
    ram #(.W(32), .DL(SUMSL + SL)) u_sums (
      .clk, .we(keep3), .wa(at3), .wd(v3[u*32+:32]), .ra(sums_at), .rd(kept2));

    wire [7:0] a2_byte = v2[u*32+:8];
    wire [31:0] operand = {{24{a2_byte[7] & ~layer.x_unsigned}}, a2_byte};
    always_ff @(posedge clk) begin
      v3[u*32+:32] <= adding ? operand : v2[u*32+:32] + (g2.first ? bias2 : kept2);
      scale3 <= adding ? layer.scale : scale2;
    end
    // One memory: the terms of an addition by its second operand, or a table by the requantized byte.
    logic [7:0] q;
    logic [31:0] entry, term3;
    wire [7:0] index = adding ? left[u*32+8+:8] : q ^ flip;
    logic [TW-1:0] read;
    ram #(.W(TW), .DL(9)) u_table (
      .clk, .we(table_we), .wa({table_wslot, table_entry}), .wd(table_data[TW-1:0]), .ra({layer.table_slot, index}), .rd(read));
    assign entry = 32'(read);
    always_ff @(posedge clk) term3 <= entry;
    requant #(.ADD(ADD)) u_requant (
      .clk, .acc(v3[u*32+:32]), .scale(scale3), .add(adding), .t(term3),
      .zero(layer.zero), .lo(layer.lo), .hi(layer.hi), .q);
    logic [7:0] plain;
    delay #(.W(8), .LAT(2)) u_plain (.clk, .d(q ^ flip), .q(plain));
    assign bytes[u*8+:8] = layer.table_on ? entry[7:0] : plain;
  end

  // Gathered to words: the lowest lanes came first.
  logic [N*8-1:0] gathered;
  if (D > 1) begin : g_gather
    always_ff @(posedge clk) if (va) gathered <= {bytes, gathered[N*8-1:NRQ*8]};
  end else begin : g_whole
    always_ff @(posedge clk) gathered <= bytes;
  end
  assign word = gathered;
  always_ff @(posedge clk) begin
    word_valid <= va & fa & ~rst;
    word_ends_tile <= ea;
    kept_valid <= keep3 & f3 & ~rst;
    kept_ends_tile <= g3.end_of_tile;
  end

`ifndef SYNTHESIS
  always_ff @(posedge clk) if (!rst && take_now) a_sums_were_taken_in_time : assert (count <= 1);
`endif
endmodule
